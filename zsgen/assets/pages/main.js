"use strict";
// Fills the places that the page has for figures.

const VIEWS = {
  selection,
  filter: (slot) => [new Filter(slot).node],
  // A figure of a set, by its name; one without a line of its own is left out.
  figure: ({dataset: {title, figure}}) => (
    DATA.metrics.some(({group}) => group === figure) ? [new Figure(title, [figure], new Tasks()).node] : []),
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
    slot.replaceChildren(...VIEWS[slot.dataset.view](slot));
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
