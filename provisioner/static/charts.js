// The overview's charts, drawn by uPlot. Without it, the pictures of the page stay; with it, they stay for screen readers.

const section = document.querySelector("[data-charts]");
const HEIGHT = 160;
const language = document.documentElement.lang;

// As the page writes moments, but in the browser's time zone.
const format = (options) => new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });
const hour = format({ hour: "2-digit", minute: "2-digit" });
const day = format({ month: "short", day: "numeric" });
const moment = format({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
// Three digits of what is small, and all of what is large.
const exact = new Intl.NumberFormat(language, { maximumFractionDigits: 0, maximumSignificantDigits: 3, roundingPriority: "morePrecision" });
const tick = (seconds) => {
  const at = new Date(seconds * 1000);
  return (at.getHours() || at.getMinutes() ? hour : day).format(at);
};

/** From zero where that does not flatten the line, as the server does (chart.rs). */
function range(_, least, most) {
  if (!most) return [0, 1];
  const room = most - least || most;
  const bottom = least < most / 2 ? 0 : least - room / 4;
  return [bottom, most + room * 0.05];
}

/** A chart in a figure of the page; its element outlives the figure's content. */
class Plot {
  constructor(name) {
    this.name = name;
    this.element = document.createElement("div");
    this.element.className = "plot";
    this.element.setAttribute("aria-hidden", "true");
    this.said = document.createElement("p");
  }

  get figure() {
    return section.querySelector(`[data-line="${this.name}"]`);
  }

  /** Takes its place in the figure, which may be a new one, and draws these values. */
  show(values) {
    const { figure } = this;
    if (!figure) return;
    figure.querySelector("svg").before(this.element);
    figure.classList.add("drawn");
    if (!values) return;
    const divisor = Number(figure.dataset.divisor);
    const data = [values.time, values[this.name].map((value) => (value === null ? null : value / divisor))];
    if (this.chart) this.chart.setData(data);
    else this.draw(data);
    this.say();
  }

  draw(data) {
    const { width } = this.element.getBoundingClientRect();
    this.chart = new uPlot(this.options(width), data, this.element);
    this.element.append(this.said);
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width) this.chart.setSize({ width: contentRect.width, height: HEIGHT });
    }).observe(this.element);
  }

  options(width) {
    // Asked for whenever it draws: the page may turn dark.
    const colour = (name) => () => getComputedStyle(section).getPropertyValue(name);
    const axis = {
      stroke: colour("--quiet"), font: `12px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    return {
      width, height: HEIGHT, padding: [8, 20, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "history" } },
      scales: { y: { range } },
      axes: [
        { ...axis, size: 26, space: 64, values: (_, moments) => moments.map(tick) },
        { ...axis, size: 48, space: 36, values: (_, values) => values.map((value) => number.format(value)) },
      ],
      series: [{}, { stroke: colour("--accent"), width: 2, points: { show: false } }],
      hooks: { setCursor: [() => this.say()] },
    };
  }

  /** The value below the cursor, or the last one, in words. */
  say() {
    const [time, values] = this.chart?.data ?? [];
    const at = this.chart?.cursor.idx ?? values?.findLastIndex((value) => value !== null) ?? -1;
    if (at < 0) return;
    const unit = this.figure?.dataset.unit;
    const value = values[at] === null ? "–" : [exact.format(values[at]), unit].filter(Boolean).join(" ");
    this.said.textContent = `${moment.format(new Date(time[at] * 1000))} · ${value}`;
  }
}

const plots = new Map();

/** Draws what the page has a picture of. */
async function draw() {
  try {
    const answer = await fetch(section.dataset.charts);
    if (!answer.ok) return;
    const values = await answer.json();
    for (const { dataset: { line } } of section.querySelectorAll("[data-line]")) {
      if (!values[line]) continue;
      if (!plots.has(line)) plots.set(line, new Plot(line));
      plots.get(line).show(values);
    }
  } catch {
    // The box may be restarting, or somebody has signed out elsewhere: what is drawn stays.
  }
}

if (section && window.uPlot) {
  draw();
  section.addEventListener("renewed", () => {
    for (const plot of plots.values()) plot.show();
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { chart } of plots.values()) chart?.redraw(false);
  });
}
