// The page with the list: its map shows the same places, fills in a position and cuts out an area.
window.addEventListener("map:init", ({ detail: { map } }) => {
  const data = document.getElementById("places").dataset;
  const within = document.querySelector("[name=within]");
  const style = { className: "place", weight: 2, fillOpacity: 0.5 };

  const named = ({ properties }, layer) => {
    const label = document.createElement("span");
    label.textContent = properties.name; // as text: a name may look like HTML
    layer.bindTooltip(label);
  };
  const point = (_, at) => L.circleMarker(at, { ...style, radius: 7 });

  if (within.value && !data.invalid) {
    L.geoJSON(JSON.parse(within.value), { ...style, fillOpacity: 0, interactive: false }).addTo(map);
  }
  if (!data.invalid) {
    fetch(data.geojson)
      .then((answer) => answer.json())
      .then((places) => {
        const layer = L.geoJSON(places, { pointToLayer: point, onEachFeature: named }).addTo(map);
        if (places.features.length) map.fitBounds(layer.getBounds(), { maxZoom: 12, padding: [30, 30] });
      });
  }

  map.on("click", ({ latlng }) => {
    const at = latlng.wrap();
    document.querySelector("[name=position]").value = `${at.lat.toFixed(6)}, ${at.lng.toFixed(6)}`;
  });
  document.getElementById("only-this-part").addEventListener("click", () => {
    const world = L.latLngBounds([-90, -180], [90, 180]);
    const clamp = (at) => [
      Math.min(Math.max(at.lat, world.getSouth()), world.getNorth()),
      Math.min(Math.max(at.lng, world.getWest()), world.getEast()),
    ];
    const shown = map.getBounds();
    const area = L.rectangle([clamp(shown.getSouthWest()), clamp(shown.getNorthEast())]);
    within.value = JSON.stringify(area.toGeoJSON(5).geometry);
  });
});
