"use strict";
// Fills the places that the page has for figures.

// Returns checkboxes for labels and seeds, which all figures follow.
function selection() {
  const rows = [];
  const seeds = [...shown.seeds].sort((a, b) => a - b);
  if (DATA.labels.length > 1) {
    const boxes = DATA.labels.map((name, label) => toggle([swatch(label), name], shown.labels, label));
    rows.push(row("Show", boxes, shown.labels, [...DATA.labels.keys()]));
  }
  if (seeds.length > 1) {
    const boxes = seeds.map((seed) => toggle(`seed ${seed}`, shown.seeds, seed));
    rows.push(row("Seeds", boxes, shown.seeds, seeds));
  }
  return rows.length ? [element("div", {class: "bar controls"}, ...rows)] : [];
}

function toggle(name, members, member) {
  return checkbox(name, true, (checked) => {
    if (checked) members.add(member);
    else members.delete(member);
    changed();
  });
}

function row(title, boxes, members, all) {
  const set = (selected) => () => {
    members.clear();
    for (const member of selected) members.add(member);
    for (const box of boxes) box.querySelector("input").checked = selected.length > 0;
    changed();
  };
  return element("fieldset", {class: "row"}, element("legend", {}, title), ...boxes,
    button("all", set(all)), button("none", set([])));
}

const VIEWS = {
  selection: selection,
  heldout: () => [new Figure("Held-out evaluations", ["heldout"], new Tasks()).node],
  examples: () => [DATA.examples.length ? new Examples().node : note("No example is on this page.")],
  order: () => [
    ...(DATA.metrics.some((metric) => metric.group === "order") ? [new Figure("The order", ["order"]).node] : []),
    ...(DATA.orders.length ? [new Composition().node] : []),
  ],
  training: () => [new Figure("Training", ["training"]).node],
  configs: () => [new Configs().node],
};

function start() {
  for (const slot of document.querySelectorAll("[data-view]")) {
    slot.replaceChildren(...VIEWS[slot.dataset.view]());
  }
  const theme = matchMedia("(prefers-color-scheme: dark)");
  theme.addEventListener("change", changed);
  // Paper is light.
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light";
    changed();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.theme;
    changed();
  });
}

start();
