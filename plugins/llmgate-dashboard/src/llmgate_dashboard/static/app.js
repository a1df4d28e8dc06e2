/* Draws the charts from the figures that stand in the page, and again when the page has renewed itself. */
"use strict";
(() => {
  const drawn = new WeakMap();
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => {
    for (const unit of ["", "k", "M", "B"]) {
      if (Math.abs(value) < 1000 || unit === "B") return `${+value.toPrecision(3)}${unit}`;
      value /= 1000;
    }
  };
  const words = {
    count: (value) => short(value),
    money: (value) => `$${short(value)}`,
    time: (value) => (value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`),
  };

  const options = (box, names, kind) => {
    const word = words[kind];
    const line = colour("--line");
    const axis = { stroke: colour("--muted"), grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const bars = kind !== "time";
    const series = names.map((name, index) => {
      const stroke = colour(`--series-${index + 1}`);
      const shown = { label: name, stroke, width: 1.5, value: (_, value) => (value == null ? "–" : word(value)), points: bars ? { show: false } : { size: 4 } };
      return bars && index === 0 ? { ...shown, fill: `${stroke}59`, paths: uPlot.paths.bars({ size: [0.7, 40] }) } : shown;
    });
    return {
      width: box.clientWidth,
      height: 168,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), box.dataset.zone),
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, grid: { show: false } }, { ...axis, size: 64, values: (_, values) => values.map((value) => word(value)) }],
      series: [{ value: (_, at) => (at == null ? "" : uPlot.fmtDate(box.dataset.period === "day" ? "{YYYY}-{MM}-{DD}" : "{YYYY}-{MM}-{DD} {HH}:{mm}")(uPlot.tzDate(new Date(at * 1000), box.dataset.zone))) }, ...series],
    };
  };

  const draw = (box, anew) => {
    const data = JSON.parse(box.dataset.series);
    const before = drawn.get(box);
    if (before && !anew && before.root.isConnected) {
      before.setData(data);
      return;
    }
    if (before) before.destroy();
    box.replaceChildren();
    drawn.set(box, new uPlot(options(box, box.dataset.names.split("|"), box.dataset.kind), data, box));
  };
  const all = (anew) => document.querySelectorAll(".chart").forEach((box) => draw(box, anew));

  const fit = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target)?.setSize({ width: target.clientWidth, height: 168 });
  });
  all(true);
  document.querySelectorAll(".chart").forEach((box) => fit.observe(box));
  document.addEventListener("htmx:after:swap", () => all(false));
  dark.addEventListener("change", () => all(true));
})();
