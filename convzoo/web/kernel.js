// A kernel sliding. The server has computed everything (props.value); here it is drawn, a step at a time:
// {shape, input, map: base64 of float32, kernel: {shape, values, name, told}, limit, numbers,
//  sound: {taps, values, map}, graph: {places, edges, values, map, senders, receivers, weights}}.
const find = (name) => element.querySelector(name);
const NUMBERED = 5; // taps across, up to which a kernel is told in numbers
let input, map, landing = false;
const value = () => props.value;

function cells(place, shape, values, limit, plain) {
  const [height, width] = shape;
  place.replaceChildren();
  if (width > NUMBERED || height > NUMBERED) {
    const canvas = document.createElement("canvas");
    cz.plane(canvas, values, height, width, plain ? {} : { limit });
    place.append(canvas);
    place.className = "cz-heat";
    return;
  }
  place.className = "cz-cells";
  place.style.gridTemplateColumns = `repeat(${width}, 1fr)`;
  for (const number of values) {
    const cell = document.createElement("span");
    cell.textContent = cz.number(number, Number.isInteger(number) && !plain ? 0 : 2);
    cell.style.background = plain ? `color-mix(in srgb, var(--soft) ${Math.round(45 * number)}%, transparent)` : cz.signed(number * 0.6, limit);
    place.append(cell);
  }
}

function box(mark, canvas, row, column, height, width) {
  const [rows, columns] = canvas;
  Object.assign(mark.style, {
    left: `${(100 * column) / columns}%`, top: `${(100 * row) / rows}%`,
    width: `${(100 * width) / columns}%`, height: `${(100 * height) / rows}%`,
  });
}

function step(index) {
  const { shape, kernel } = value(), [rows, columns] = shape, [high, wide] = kernel.shape;
  const row = Math.floor(index / columns), column = index % columns;
  const top = row - Math.floor((high - 1) / 2), left = column - Math.floor((wide - 1) / 2);
  box(find("[data-input] .window"), shape, top, left, high, wide);
  box(find("[data-map] .point"), shape, row, column, 1, 1);
  const below = find("[data-map] .below"), right = find("[data-map] .right");
  below.hidden = right.hidden = !landing;
  box(below, shape, row + 1, 0, rows - row - 1, columns);
  box(right, shape, row, column + 1, 1, columns - column - 1);
  const window = [], products = [];
  for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
    const inside = top + i >= 0 && top + i < rows && left + j >= 0 && left + j < columns;
    window.push(inside ? input[(top + i) * columns + left + j] : 0);
    products.push(window.at(-1) * kernel.values[i * wide + j]);
  }
  const heaviest = Math.max(...kernel.values.map(Math.abs));
  cells(find("[data-window]"), kernel.shape, window, 1, true);
  cells(find("[data-products]"), kernel.shape, products, heaviest);
  find("[data-sum]").textContent = cz.number(map[index], 3);
  find("[data-sum]").style.background = cz.signed(map[index] * 0.6, value().limit);
  find("[data-at]").textContent = `row ${row}, column ${column}`;
  const share = (index + 0.5) / (rows * columns);
  sound(Math.floor(share * value().sound.values.length));
  graph(Math.floor(share * value().graph.values.length));
}

const tag = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, given] of Object.entries(attributes)) made.setAttribute(key, given);
  return made;
};

function bars(values, middle, reach, kind) {
  const most = Math.max(...values.map(Math.abs)) || 1, across = 470 / values.length;
  return values.map((number, i) => {
    const tall = Math.max(0.7, (Math.abs(number) / most) * reach);
    return tag("rect", { class: kind || (number < 0 ? "neg" : "pos"), x: 5 + i * across, width: across * 0.72, y: number < 0 ? middle : middle - tall, height: tall });
  });
}
function sound(at) {
  const { values, map: answers, taps } = value().sound, svg = find("[data-sound]"), across = 470 / values.length;
  if (svg.drawn !== value()) {
    svg.replaceChildren(...bars(values, 48, 42, "ink"), ...bars(answers, 142, 42), tag("rect", { class: "mark" }), tag("rect", { class: "mark" }));
    svg.drawn = value();
  }
  const [above, below] = svg.querySelectorAll(".mark"), first = at - Math.floor((taps.length - 1) / 2);
  const shape = { x: 5 + first * across - 1, width: taps.length * across + 1, y: 2, height: 92 };
  for (const [key, given] of Object.entries(shape)) above.setAttribute(key, given);
  const point = { x: 5 + at * across - 1, width: across + 1, y: 98, height: 90 };
  for (const [key, given] of Object.entries(point)) below.setAttribute(key, given);
}
function graph(at) {
  const { places, edges, values, map: answers, senders, receivers, weights } = value().graph, svg = find("[data-graph]");
  const most = Math.max(...places.flat()) + 0.4, spot = ([row, column], shift) => [shift + 12 + (column / most) * 186, 8 + (row / most) * 174];
  if (svg.drawn !== value()) {
    const limit = Math.max(...answers.map(Math.abs)) || 1, parts = [];
    for (const shift of [0, 262]) {
      for (const [a, b] of edges) { const [x, y] = spot(places[a], shift), [u, v] = spot(places[b], shift); parts.push(tag("line", { class: "edge", x1: x, y1: y, x2: u, y2: v })); }
      if (!shift) parts.push(tag("g", { class: "messages" }));
      places.forEach((place, i) => {
        const [cx, cy] = spot(place, shift), r = 7;
        parts.push(tag("circle", { class: "under", cx, cy, r }));
        parts.push(tag("circle", { cx, cy, r, style: shift ? `fill:${cz.signed(answers[i], limit)}` : `fill:color-mix(in srgb, #fff ${Math.round(100 * values[i])}%, #000)` }));
      });
    }
    svg.replaceChildren(...parts, tag("circle", { class: "mark", r: 10 }), tag("circle", { class: "mark", r: 10 }));
    svg.drawn = value();
  }
  const messages = svg.querySelector(".messages"), heaviest = Math.max(...weights.map(Math.abs)) || 1;
  messages.replaceChildren();
  const [x, y] = spot(places[at], 0);
  receivers.forEach((receiver, i) => {
    if (receiver !== at || senders[i] === at || !weights[i]) return;
    const [u, v] = spot(places[senders[i]], 0);
    messages.append(tag("line", { class: weights[i] < 0 ? "negline" : "posline", x1: u, y1: v, x2: x, y2: y, "stroke-width": 0.6 + (3 * Math.abs(weights[i])) / heaviest }));
  });
  svg.querySelectorAll(".mark").forEach((mark, i) => { const [cx, cy] = spot(places[at], 262 * i); mark.setAttribute("cx", cx); mark.setAttribute("cy", cy); });
}

const player = cz.player(element, () => map.length, step);
function fresh() {
  const { shape, kernel, limit, numbers } = value(), before = map?.length;
  input = cz.floats(value().input);
  map = cz.floats(value().map);
  cz.plane(find("[data-input] canvas"), input, shape[0], shape[1]);
  cz.plane(find("[data-map] canvas"), map, shape[0], shape[1], { limit });
  for (const place of ["[data-kernel]", "[data-weights]"]) cells(find(place), kernel.shape, kernel.values, Math.max(...kernel.values.map(Math.abs)));
  find("[data-size]").textContent = `${shape[0]} × ${shape[1]}`;
  find("[data-name]").textContent = `${kernel.name}, ${kernel.shape[0]}\u00a0×\u00a0${kernel.shape[1]}`;
  find("[data-told]").textContent = `Answers to: ${kernel.told}.`;
  find("[data-low]").textContent = cz.number(-limit);
  find("[data-high]").textContent = cz.number(limit);
  find("[data-taps]").textContent = value().sound.taps.length > 9 ? `${value().sound.taps.length} taps` : value().sound.taps.map((t) => cz.number(t)).join("  ");
  find("[data-numbers]").replaceChildren(...numbers.map((told) => { const item = document.createElement("li"); item.textContent = told; return item; }));
  element.dataset.kernel = kernel.name; // what is shown now, for whoever watches
  if (before !== map.length) { player.stop(); landing = false; player.to(Math.floor(shape[0] * 0.42) * shape[1] + Math.floor(shape[1] * 0.35)); } else player.to(player.at());
}

find("[data-play]").addEventListener("click", () => { landing = true; player.to(player.at()); }, true);
find("[data-step]").addEventListener("input", () => { landing = true; }, true);
const pixels = find("[data-input]");
const jump = (row, column) => {
  const [rows, columns] = value().shape, kept = (place, count) => Math.min(Math.max(place, 0), count - 1);
  player.stop();
  landing = false;
  player.to(kept(row, rows) * columns + kept(column, columns));
};
const point = (event) => {
  const area = event.currentTarget.getBoundingClientRect(), [rows, columns] = value().shape;
  jump(Math.floor(((event.clientY - area.top) / area.height) * rows), Math.floor(((event.clientX - area.left) / area.width) * columns));
};
for (const place of [pixels, find("[data-map]")]) {
  place.addEventListener("pointerdown", point);
  place.addEventListener("pointermove", (event) => event.buttons && point(event));
}
pixels.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move) return;
  event.preventDefault();
  const columns = value().shape[1];
  jump(Math.floor(player.at() / columns) + move[0], (player.at() % columns) + move[1]);
});
watch("value", fresh);
fresh();
