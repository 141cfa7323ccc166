// What stands around the picture: photographs, sliders, what was done, and what can be saved.

// Amounts that were sent and not told back yet: what is told meanwhile is older.
const sent = new Map();

export const forgetSent = () => sent.clear();

const byId = (id) => document.getElementById(id);

const PHASES = {
  reading: "reading",
  choosing: "choose a face",
  faceless: "no face found",
  searching: "searching",
  ready: "ready",
  failed: "cannot be used",
};

export function drawWorks(states, chosen, onChoose) {
  const focused = document.activeElement?.dataset?.work;
  byId("works").replaceChildren(
    ...[...states.values()].map((state) => {
      const button = document.createElement("button");
      button.dataset.work = state.work;
      button.setAttribute("aria-current", String(state.work === chosen));
      button.textContent = state.title;
      const small = document.createElement("small");
      small.textContent = PHASES[state.phase] ?? state.phase;
      button.append(small);
      button.addEventListener("click", () => onChoose(state.work));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  if (focused) document.querySelector(`#works button[data-work="${focused}"]`)?.focus();
  const other = byId("other");
  const kept = other.value;
  other.replaceChildren(
    ...[...states.values()]
      .filter((state) => state.work !== chosen && ["searching", "ready"].includes(state.phase))
      .map((state) => new Option(state.title, state.work)),
  );
  other.value = kept;
  if (other.selectedIndex < 0) other.selectedIndex = 0;
  byId("mix").disabled = !other.options.length || !chosen;
}

export function makeSliders(sliders, send) {
  byId("sliders").replaceChildren(
    ...sliders.map(({ name, unit, range }) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const output = document.createElement("output");
      Object.assign(input, { type: "range", min: range[0], max: range[1], step: 0.05, value: 0 });
      input.dataset.name = name;
      output.textContent = "0";
      label.title = unit ? `1 is ${unit}` : name;
      label.append(name, input, output);
      const tell = (what) => {
        sent.set(name, Number(input.value));
        output.textContent = Number(input.value).toFixed(2).replace(/\.?0+$/, "");
        send({ do: what, name, amount: Number(input.value) });
      };
      input.addEventListener("input", () => tell("slide"));
      input.addEventListener("change", () => tell("move"));
      return label;
    }),
  );
}

export function setSliders(amounts, enabled) {
  for (const input of document.querySelectorAll("#sliders input")) {
    input.disabled = !enabled;
    const { name } = input.dataset;
    const amount = amounts[name] ?? 0;
    if (sent.has(name) && Math.abs(sent.get(name) - amount) > 1e-3) continue;
    sent.delete(name);
    if (input.matches(":active")) continue; // someone holds it
    input.value = amount;
    input.nextElementSibling.textContent = Number(input.value).toFixed(2).replace(/\.?0+$/, "");
  }
}

export function drawHistory(operations) {
  byId("history").replaceChildren(
    ...operations.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

export function drawExports(work, enabled) {
  for (const link of document.querySelectorAll("#exports a")) {
    if (enabled) link.href = `works/${encodeURIComponent(work)}/${link.dataset.kind}`;
    else link.removeAttribute("href");
  }
}

// Boxes around the faces of a whole photo, of which one is to be chosen.
export function drawFaces(state, size, send) {
  const place = byId("faces");
  place.hidden = !["choosing", "faceless"].includes(state?.phase) || !size;
  if (place.hidden) return;
  const [width, height] = size;
  const longer = Math.max(width, height);
  const left = (longer - width) / 2;
  const top = (longer - height) / 2;
  const boxes = state.faces.map((corners, number) => {
    const button = document.createElement("button");
    const xs = corners.map(([x]) => x + left);
    const ys = corners.map(([, y]) => y + top);
    const share = (value) => `${(100 * value) / longer}%`;
    Object.assign(button.style, {
      left: share(Math.min(...xs)),
      top: share(Math.min(...ys)),
      width: share(Math.max(...xs) - Math.min(...xs)),
      height: share(Math.max(...ys) - Math.min(...ys)),
    });
    button.textContent = String(number + 1);
    button.setAttribute("aria-label", `face ${number + 1} of ${state.faces.length}`);
    button.addEventListener("click", () => send({ do: "choose", face: number }));
    return button;
  });
  const plain = document.createElement("button");
  plain.className = "plain";
  plain.textContent = "Use the photo as it is";
  plain.addEventListener("click", () => send({ do: "whole" }));
  place.replaceChildren(...boxes, plain);
}
