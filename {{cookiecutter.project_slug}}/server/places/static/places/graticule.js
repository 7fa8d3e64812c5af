// Lines of longitude and latitude on every map, for one that has no tiles.
L.Map.addInitHook(function () {
  const lines = L.layerGroup().addTo(this);

  const draw = () => {
    lines.clearLayers();
    const degrees = [30, 10, 5, 1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001];
    const bounds = this.getBounds();
    const width = bounds.getEast() - bounds.getWest();
    const step = degrees.find((each) => width / each > 4) || 0.0005;
    const add = (points, name) => {
      L.polyline(points, { color: "#8892a0", weight: 0.5, interactive: false }).addTo(lines);
      L.marker(points[1], {
        icon: L.divIcon({ className: "graticule", html: name, iconSize: null }),
        interactive: false,
        keyboard: false,
      }).addTo(lines);
    };
    const name = (at, positive, negative) =>
      `${+Math.abs(at).toFixed(4)}° ${at === 0 ? "" : at > 0 ? positive : negative}`;

    for (let n = Math.ceil(Math.max(bounds.getWest(), -180) / step); n * step <= Math.min(bounds.getEast(), 180); n++) {
      add([[Math.min(bounds.getNorth(), 85), n * step], [Math.max(bounds.getSouth(), -85), n * step]], name(n * step, "E", "W"));
    }
    for (let n = Math.ceil(Math.max(bounds.getSouth(), -85) / step); n * step <= Math.min(bounds.getNorth(), 85); n++) {
      add([[n * step, Math.min(bounds.getEast(), 180)], [n * step, Math.max(bounds.getWest(), -180)]], name(n * step, "N", "S"));
    }
  };

  this.whenReady(draw);
  this.on("moveend", draw);
});
