// A graph that is drawn and edited here, and computed by the server: props.value = {nodes: [{x, y, value}], edges,
// rounds: [values of every node after 0, 1, ... rounds], messages: [[sender, receiver, weight]], kind}.
const find = (name) => element.querySelector(name);
const WIDTH = 400, HEIGHT = 300, RADIUS = 15, MOST = 40;
let chosen = -1, drag = null, own = null;
const now = () => own || props.value;
const limit = () => Math.max(1e-6, ...now().rounds.flat().map(Math.abs));
const fits = () => now().rounds[0].length === now().nodes.length;

const tag = (name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
};
const line = (a, b, attributes) => {
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1, dx = (b.x - a.x) / length, dy = (b.y - a.y) / length;
  return tag("line", { x1: a.x + dx * RADIUS, y1: a.y + dy * RADIUS, x2: b.x - dx * (RADIUS + 3), y2: b.y - dy * (RADIUS + 3), ...attributes });
};

// An arrow's head; in user space, so that a strong message has no larger one.
const arrowhead = () => {
  const marker = tag("marker", { id: "cz-head", viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" });
  marker.append(tag("path", { d: "M0 0L10 5L0 10z", class: "head" }));
  return marker;
};

function net(which, values, { receiver = -1, until = Infinity } = {}) {
  const svg = find(`[data-net=${which}]`), { nodes, edges, messages } = now(), most = limit();
  const held = svg.contains(document.activeElement) ? document.activeElement.dataset.node : undefined;
  svg.replaceChildren(...(which === "left" ? [arrowhead()] : []));
  for (const [a, b] of edges) svg.append(tag("line", { class: "edge", x1: nodes[a].x, y1: nodes[a].y, x2: nodes[b].x, y2: nodes[b].y }));
  if (which === "left") for (const [from, to, weight] of messages) if (to === receiver && from !== to)
    svg.append(line(nodes[from], nodes[to], { class: "message", "marker-end": "url(#cz-head)", "stroke-width": 1.5 + 5 * Math.min(1, Math.abs(weight)) }));
  nodes.forEach((node, index) => {
    const there = index < until, group = tag("g", { class: "node", "data-node": index });
    if (which === "left") {
      group.setAttribute("tabindex", 0);
      group.setAttribute("role", "button");
      group.setAttribute("aria-pressed", index === chosen);
      group.setAttribute("aria-label", `node ${index}, value ${cz.number(values[index] ?? node.value)}`);
    }
    group.append(tag("circle", { cx: node.x, cy: node.y, r: RADIUS, class: "under" }));
    const value = values[index] ?? node.value;
    if (there) group.append(tag("circle", { cx: node.x, cy: node.y, r: RADIUS, style: `fill:${cz.signed(value, most)}` }));
    if (index === receiver || (which === "left" && index === chosen))
      group.append(tag("circle", { cx: node.x, cy: node.y, r: RADIUS + 3, class: index === receiver ? "ring" : "chosen" }));
    group.append(tag("text", { x: node.x, y: node.y + 4, class: "value" }, there ? cz.number(value) : "·"));
    group.append(tag("text", { x: node.x, y: node.y - RADIUS - 5, class: "name" }, index));
    svg.append(group);
    if (held !== undefined && Number(held) === index) group.focus();
  });
}

function draw(step) {
  const { nodes, rounds, messages, kind } = now(), count = nodes.length;
  if (!fits() || !count) return;
  const done = step === 0, round = done ? 0 : Math.floor((step - 1) / count), receiver = done ? -1 : (step - 1) % count;
  net("left", rounds[round], { receiver });
  net("right", rounds[round + 1], { receiver, until: receiver + 1 });
  find("[data-title=left]").textContent = round ? `after round ${round}` : "at first";
  find("[data-title=right]").textContent = `after round ${round + 1}`;
  find("[data-told]").textContent = done ? "nothing has been sent yet" : `round ${round + 1} of ${rounds.length - 1}, node ${receiver}`;
  const heard = messages.filter(([, to]) => to === receiver);
  const terms = heard.map(([from, , weight]) => {
    const who = from === receiver ? "itself" : `node ${from}`, value = cz.number(rounds[round][from]);
    return kind === "max" ? `${value} (${who})` : `${cz.number(weight)} · ${value} (${who})`;
  });
  const joined = kind === "max" ? `max of ${terms.join(", ")}` : terms.join(" + ");
  find("[data-sum]").textContent = done ? "Press Play, or move the slider: each node in turn hears its neighbours."
    : heard.length ? `node ${receiver} ← ${joined} = ${cz.number(rounds[round + 1][receiver], 3)}` : `node ${receiver} hears nobody: 0`;
}
const player = cz.player(element, () => 1 + now().nodes.length * (now().rounds.length - 1), draw, 700);

function choose(index) {
  chosen = index;
  const box = find("[data-value]"), node = now().nodes[index];
  box.disabled = find("[data-remove]").disabled = !node;
  box.value = node ? node.value : "";
  find("[data-who]").textContent = node ? `Node ${index} is chosen.` : "No node is chosen.";
  player.to(player.at());
}
function edit(change) {
  const { nodes, edges } = now(), next = { nodes: nodes.map((n) => ({ ...n })), edges: edges.map((e) => [...e]) };
  change(next);
  player.stop();
  trigger("edited", next);
}
const join = (a, b) => edit((next) => {
  const same = ([x, y]) => (x === a && y === b) || (x === b && y === a);
  const without = next.edges.filter((e) => !same(e));
  next.edges = without.length < next.edges.length ? without : [...next.edges, [a, b]];
});
const add = (x, y) => now().nodes.length < MOST && edit((next) => next.nodes.push({ x, y, value: 0 }));
const press = (index) => {
  if (chosen >= 0 && chosen !== index) { const other = chosen; choose(-1); join(other, index); }
  else choose(chosen === index ? -1 : index);
};
const remove = () => {
  const gone = chosen;
  choose(-1);
  edit((next) => {
    next.nodes.splice(gone, 1);
    next.edges = next.edges.filter((e) => !e.includes(gone)).map((e) => e.map((n) => n - (n > gone)));
  });
};

const place = (event) => {
  const box = find("[data-net=left]").getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * WIDTH, y = ((event.clientY - box.top) / box.height) * HEIGHT;
  return [Math.min(WIDTH - 22, Math.max(22, x)), Math.min(HEIGHT - 22, Math.max(28, y))];
};
const left = find("[data-net=left]");
left.addEventListener("pointerdown", (event) => {
  const node = event.target.closest("[data-node]");
  drag = { index: node ? Number(node.dataset.node) : -1, from: [event.clientX, event.clientY], moved: false };
});
left.addEventListener("pointermove", (event) => {
  if (!drag || drag.index < 0) return;
  if (!drag.moved && Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) < 5) return;
  if (!drag.moved) left.setPointerCapture(event.pointerId);
  drag.moved = true;
  const [x, y] = place(event);
  own = own || { ...props.value, nodes: props.value.nodes.map((n) => ({ ...n })) };
  Object.assign(own.nodes[drag.index], { x, y });
  player.to(player.at());
});
left.addEventListener("pointerup", (event) => {
  const was = drag;
  drag = null;
  if (!was) return;
  if (was.moved) edit(() => {});
  else if (was.index >= 0) press(was.index);
  else add(...place(event));
});
left.addEventListener("keydown", (event) => {
  const node = event.target.closest("[data-node]");
  if (!node) return;
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(Number(node.dataset.node)); }
  if ((event.key === "Delete" || event.key === "Backspace") && chosen >= 0) { event.preventDefault(); remove(); }
});
find("[data-add]").addEventListener("click", () => {
  const turn = 2.4 * now().nodes.length;
  add(WIDTH / 2 + 120 * Math.cos(turn), HEIGHT / 2 + 90 * Math.sin(turn));
});
find("[data-remove]").addEventListener("click", remove);
find("[data-value]").addEventListener("change", (event) => {
  const value = Number(event.target.value), index = chosen;
  if (Number.isFinite(value) && index >= 0) edit((next) => { next.nodes[index].value = value; });
});

const fresh = () => {
  own = null;
  if (chosen >= now().nodes.length) choose(-1);
  player.to(player.at());
};
watch("value", fresh);
fresh();
