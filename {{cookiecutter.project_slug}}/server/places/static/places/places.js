// The map shows the places of the list, and a click on it fills in the position of a new one.
window.addEventListener("map:init", ({ detail: { map } }) => {
  const points = JSON.parse(document.getElementById("points").textContent);
  const markers = points.map(([name, latitude, longitude]) => {
    const label = document.createElement("span");
    label.textContent = name; // as text: a name may look like HTML
    const style = { className: "place", radius: 7, weight: 2, fillOpacity: 0.5 };
    return L.circleMarker([latitude, longitude], style).bindTooltip(label);
  });
  if (markers.length) {
    const group = L.featureGroup(markers).addTo(map);
    map.fitBounds(group.getBounds(), { maxZoom: 12, padding: [30, 30] });
  }
  map.on("click", ({ latlng }) => {
    const at = latlng.wrap();
    document.querySelector("[name=position]").value = `${at.lat.toFixed(6)}, ${at.lng.toFixed(6)}`;
  });
});
