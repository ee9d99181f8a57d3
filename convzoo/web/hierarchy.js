// The maps of a waypoint as buttons: props.value = {waypoint, about, maps: [[channel, png], ...]} or null.
const tiles = element.querySelector("[data-tiles]"), about = element.querySelector("[data-about]");
function fresh() {
  const value = props.value;
  tiles.replaceChildren();
  about.textContent = value ? `${value.waypoint}: ${value.about}; the ${value.maps.length} that vary most, each on its own scale. Choose one to see what it looks for.` : "";
  for (const [channel, png] of value?.maps ?? []) {
    const button = document.createElement("button"), image = new Image();
    image.src = png;
    image.alt = `channel ${channel}`;
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(image, String(channel));
    button.addEventListener("click", () => {
      for (const other of tiles.children) other.setAttribute("aria-pressed", String(other === button));
      trigger("chosen", { waypoint: value.waypoint, channel });
    });
    tiles.append(button);
  }
}
watch("value", fresh);
fresh();
