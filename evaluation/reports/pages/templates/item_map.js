(() => {
  "use strict";
  const tool = document.getElementById("item-map-tool");
  if (!tool) return;
  const of = (id) => document.getElementById(id);
  const data = JSON.parse(of("item-map").textContent);
  const canvas = of("map-canvas"), tip = of("map-tip"), pen = canvas.getContext("2d");
  const MARGIN = 24, FOUND = 12;
  const CATEGORIES = ["#3b7dd8", "#e07b00", "#2a9d5c", "#d1495b", "#8a63d2", "#8c6d46", "#d65db1", "#7a8793", "#a8a21b", "#18a5b8"];
  const RAMP = [[68, 60, 160], [48, 120, 175], [38, 165, 140], [130, 205, 75], [250, 215, 50]];
  const names = data.ids.map((id, item) => data.titles[item] ?? id);
  const most = Math.max(...data.users, 1);
  const radii = data.users.map((n) => 2 + 4 * Math.sqrt(n / most));
  let map = data.maps[0], colour = data.colours[0], chosen = -1, under = -1;
  let zoom = 1, span, middle;
  let fills = [];

  const scale = () => Math.min((canvas.clientWidth - 2 * MARGIN) / span.x, (canvas.clientHeight - 2 * MARGIN) / span.y) * zoom;
  const onScreen = (item) => ({
    x: (map.x[item] - middle.x) * scale() + canvas.clientWidth / 2,
    y: (middle.y - map.y[item]) * scale() + canvas.clientHeight / 2,
  });
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const ramp = (part) => {
    const place = Math.min(Math.max(part, 0), 1) * (RAMP.length - 1);
    const low = Math.min(Math.floor(place), RAMP.length - 2), rest = place - low;
    return `rgb(${RAMP[low].map((one, k) => Math.round(one + (RAMP[low + 1][k] - one) * rest)).join(",")})`;
  };

  function show(projection) {
    map = projection;
    span = { x: Math.max(...map.x, 1), y: Math.max(...map.y, 1) };
    middle = { x: span.x / 2, y: span.y / 2 };
    of("map-how").textContent = map.how;
    zoomBy(0);
  }

  function paintBy(column) {
    colour = column;
    const legend = of("map-legend");
    legend.replaceChildren();
    const entry = (fill, text) => {
      const span = document.createElement("span"), dot = document.createElement("i");
      dot.style.background = fill;
      span.append(dot, text);
      legend.append(span);
    };
    if (column.kind === "category") {
      const fill = (value) => (value === null ? "#9aa4ae" : CATEGORIES[value % CATEGORIES.length]);
      fills = column.values.map(fill);
      column.labels.forEach((label, value) => entry(fill(value), label));
      if (column.values.includes(null)) entry("#9aa4ae", "none, or another");
      return;
    }
    // By rank, so that a few large values do not make all others alike.
    const known = column.values.filter((value) => value !== null).sort((a, b) => a - b);
    const rank = new Map(known.map((value, place) => [value, known.length < 2 ? 0 : place / (known.length - 1)]));
    fills = column.values.map((value) => (value === null ? "#9aa4ae" : ramp(rank.get(value))));
    const bar = document.createElement("i");
    bar.className = "scale";
    bar.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp).join(",")})`;
    const figure = (value) => (value === undefined ? "" : value.toLocaleString("en", { useGrouping: value >= 10000, maximumFractionDigits: 2 }));
    legend.append(`${column.name}: ${figure(known[0])}`, bar, figure(known[known.length - 1]));
    if (known.length < column.values.length) entry("#9aa4ae", "missing");
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const near = chosen < 0 ? [] : data.near[chosen];
    const growth = Math.min(Math.sqrt(zoom), 2.5) * Math.min(Math.max(width / 700, 0.6), 1);
    pen.globalAlpha = chosen < 0 ? 0.75 : 0.3;
    const dot = (item, fill, extra) => {
      const { x, y } = onScreen(item);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) return null;
      pen.beginPath();
      pen.arc(x, y, radii[item] * growth + extra, 0, 2 * Math.PI);
      pen.fillStyle = fill;
      pen.fill();
      return { x, y };
    };
    for (let item = names.length - 1; item >= 0; item--) dot(item, fills[item], 0);
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.strokeStyle = variable("--text");
    pen.font = "12px system-ui, sans-serif";
    for (const item of [...near, chosen, under]) {
      if (item < 0 || !dot(item, fills[item], item === chosen ? 2 : 0)) continue;
      pen.stroke();
    }
    if (chosen >= 0) {
      const { x, y } = onScreen(chosen);
      const text = names[chosen].slice(0, 40);
      const left = Math.max(4, Math.min(x + 10, width - pen.measureText(text).width - 4));
      pen.lineWidth = 4;
      pen.strokeStyle = variable("--card");
      pen.strokeText(text, left, y - 10);
      pen.fillStyle = variable("--text");
      pen.fillText(text, left, y - 10);
    }
  }

  function choose(item, move) {
    chosen = item;
    if (move) {
      const { x, y } = onScreen(item);
      const isIn = x > 0 && y > 0 && x < canvas.clientWidth && y < canvas.clientHeight;
      if (!isIn) middle = { x: map.x[item], y: map.y[item] };
    }
    const told = of("map-item");
    told.replaceChildren();
    const add = (place, tag, text) => {
      const one = document.createElement(tag);
      one.textContent = text;
      if (tag === "h3" || tag === "dd") one.dir = "auto";
      place.append(one);
      return one;
    };
    add(told, "h3", names[item]);
    const facts = add(told, "dl", "");
    const fact = (name, value) => { add(facts, "dt", name); add(facts, "dd", value); };
    fact("id", data.ids[item]);
    for (const column of data.colours) {
      const value = column.values[item];
      if (value !== null) fact(column.name, column.kind === "category" ? column.labels[value] : value.toLocaleString("en", { useGrouping: value >= 10000, maximumFractionDigits: 2 }));
    }
    add(told, "h4", "Most similar");
    const list = add(told, "ol", "");
    data.near[item].forEach((other, place) => {
      const row = add(list, "li", "");
      const button = add(row, "button", names[other]);
      button.type = "button";
      button.dir = "auto";
      button.addEventListener("click", () => choose(other, true));
      const cosine = add(row, "span", ` ${(data.cosines[item][place] / 100).toFixed(2)}`);
      cosine.className = "quiet";
    });
    draw();
  }

  function search(text) {
    const list = of("map-found"), wanted = text.trim().toLowerCase();
    list.replaceChildren();
    if (!wanted) return;
    const found = [];
    for (let item = 0; item < names.length && found.length < FOUND; item++)
      if (names[item].toLowerCase().includes(wanted) || data.ids[item].toLowerCase() === wanted) found.push(item);
    for (const item of found) {
      const row = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.dir = "auto";
      button.textContent = names[item];
      button.addEventListener("click", () => choose(item, true));
      row.append(button);
      list.append(row);
    }
    if (!found.length) list.append(Object.assign(document.createElement("li"), { textContent: "Nothing is called so." }));
  }

  function zoomBy(factor, at) {
    const before = scale();
    zoom = Math.min(Math.max(zoom * factor, 1), 60);
    if (at) {
      const [dx, dy] = [at.x - canvas.clientWidth / 2, at.y - canvas.clientHeight / 2];
      middle.x += dx / before - dx / scale();
      middle.y -= dy / before - dy / scale();
    }
    if (zoom === 1) middle = { x: span.x / 2, y: span.y / 2 };
    canvas.style.touchAction = zoom === 1 ? "pan-y" : "none"; // the whole map lets a finger scroll the page
    draw();
  }

  function itemAt(at) {
    let best = -1, least = 14 ** 2;
    for (let item = 0; item < names.length; item++) {
      const { x, y } = onScreen(item);
      const distance = (x - at.x) ** 2 + (y - at.y) ** 2;
      if (distance < least) [best, least] = [item, distance];
    }
    return best;
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { at: place(event), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (drag) {
      const [dx, dy] = [at.x - drag.at.x, at.y - drag.at.y];
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      middle.x -= dx / scale();
      middle.y += dy / scale();
      drag = { at, moved: true };
      tip.hidden = true;
      return draw();
    }
    const item = itemAt(at);
    if (item === under) return;
    under = item;
    tip.hidden = item < 0;
    if (item >= 0) {
      tip.textContent = names[item];
      const { x, y } = onScreen(item);
      tip.style.left = `${Math.max(0, Math.min(x + 12, canvas.clientWidth - tip.offsetWidth))}px`;
      tip.style.top = `${Math.max(0, y - tip.offsetHeight - 8)}px`;
    }
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const item = drag && !drag.moved ? itemAt(place(event)) : -1;
    drag = null;
    if (item >= 0) choose(item, false);
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { under = -1; tip.hidden = true; draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return; // else the page scrolls
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 300), place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 80 / scale();
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) {
      middle.x += moves[event.key][0];
      middle.y += moves[event.key][1];
      draw();
    } else if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0" || event.key === "Home") zoomBy(0);
    else return;
    event.preventDefault();
  });

  const fill = (select, entries) => select.append(...entries.map((one, at) => new Option(one.name, String(at))));
  fill(of("map-projection"), data.maps);
  fill(of("map-colour"), data.colours);
  of("map-projection").addEventListener("change", (event) => {
    show(data.maps[Number(event.target.value)]);
  });
  of("map-colour").addEventListener("change", (event) => { paintBy(data.colours[Number(event.target.value)]); draw(); });
  of("map-search").addEventListener("input", (event) => search(event.target.value));
  of("map-in").addEventListener("click", () => zoomBy(1.5));
  of("map-out").addEventListener("click", () => zoomBy(1 / 1.5));
  of("map-whole").addEventListener("click", () => zoomBy(0));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  paintBy(data.colours[0]);
  show(map);
  new ResizeObserver(draw).observe(canvas);
})();
