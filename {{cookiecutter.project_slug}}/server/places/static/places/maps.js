// A map without tiles gets lines of longitude and latitude.
L.Map.addInitHook(function () {
  if (this.options.djoptions?.layers.length) return; // it has tiles

  const STEPS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 45, 90]; // degrees
  const lines = L.layerGroup().addTo(this);

  const multiples = (step, from, to) => {
    const first = Math.ceil(from / step);
    return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, n) => (first + n) * step);
  };
  const add = (ends, label, anchor, degrees, letters) => {
    const letter = degrees ? letters[degrees > 0 ? 0 : 1] : "";
    const html = `${+Math.abs(degrees).toFixed(3)}° ${letter}`;
    L.polyline(ends, { className: "graticule-line", weight: 0.6, interactive: false }).addTo(lines);
    L.marker(label, {
      icon: L.divIcon({ className: "graticule-label", html, iconSize: null, iconAnchor: anchor }),
      interactive: false,
      keyboard: false,
    }).addTo(lines);
  };
  const draw = () => {
    const shown = this.getBounds();
    const [west, east] = [Math.max(shown.getWest(), -180), Math.min(shown.getEast(), 180)];
    const [south, north] = [Math.max(shown.getSouth(), -85), Math.min(shown.getNorth(), 85)];
    const pixels = this.getSize().x / (shown.getEast() - shown.getWest());
    const step = STEPS.find((each) => each * pixels > 70) || 90;
    lines.clearLayers();
    for (const at of multiples(step, west, east)) add([[-85, at], [85, at]], [south, at], [0, 18], at, "EW");
    for (const at of multiples(step, south, north)) add([[at, -180], [at, 180]], [at, west], [0, 0], at, "NS");
  };

  this.whenReady(draw);
  this.on("moveend", draw);
});
