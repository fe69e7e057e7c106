"use strict";
// Whatever the server says is put in as text, never as markup.

const of = (id) => document.getElementById(id);

function paragraph(text, kind) {
  const made = document.createElement("p");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function percent(share) {
  return `${Math.round(100 * share)}%`;
}

function reasons(because) {
  if (!because) return [];
  const watched = because.watched.map((one) => `${one.title ?? one.item_id} (${percent(one.share)})`);
  const moved = because.features.map((one) => `${one.feature} ${one.change < 0 ? "−" : "+"}${Math.abs(one.change).toFixed(2)}`);
  return [
    ...(watched.length ? [paragraph(`Speaking for it: ${watched.join(", ")}`)] : []),
    ...(moved.length ? [paragraph(`Moved by: ${moved.join(", ")}`)] : []),
  ];
}

function place(item) {
  const row = document.createElement("li");
  row.append(
    paragraph(item.title ?? `Item ${item.item_id}`, "title"),
    paragraph(`item ${item.item_id}, score ${item.score.toFixed(3)}, from ${item.origin.replaceAll("_", " ")}`),
    ...reasons(item.because),
  );
  return row;
}

async function ask() {
  const query = new URLSearchParams({ user: of("user").value.trim(), n: of("n").value, explain: "true" });
  const key = of("key").value;
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const answer = await fetch(`/v1/recommend?${query}`, { headers });
  const told = await answer.json();
  if (answer.status === 401) {
    of("key-label").hidden = false;
    of("key").focus();
  }
  if (!answer.ok) {
    const problems = (told.problems ?? []).map((one) => `${one.where}: ${one.what}`);
    throw new Error([told.message, ...problems].join("; "));
  }
  return told;
}

of("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  of("status").textContent = "Asking…";
  of("list").replaceChildren();
  of("run").textContent = "";
  try {
    const told = await ask();
    const cold = told.items.some((item) => item.origin === "cold");
    const what = cold ? "Popular now, as there is no history of" : "For";
    of("status").textContent = told.items.length ? `${what} user ${told.user}` : `Nothing is left for user ${told.user}`;
    of("list").replaceChildren(...told.items.map(place));
    of("run").textContent = `Run ${told.run}`;
  } catch (error) {
    of("status").textContent = error instanceof TypeError ? "The server cannot be reached." : error.message;
  }
});
