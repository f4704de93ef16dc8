"use strict";
// Draws two of the page's pictures on one canvas. Lengths are in pixels of the screen, places in the picture in its own.

(async () => {
  const element = (id) => document.getElementById(id);
  const content = JSON.parse(element("content").textContent);
  const { width, height, points } = content;
  const pictures = [...document.querySelectorAll("#pictures img")];
  const stage = element("stage");
  const canvas = element("canvas");
  const divider = element("divider");
  const help = element("help");
  // Pictures with a profile may have colours that sRGB lacks, for screens that show them.
  const colorSpace = content.wide && matchMedia("(color-gamut: p3)").matches ? "display-p3" : "srgb";
  const context = canvas.getContext("2d", { alpha: true, colorSpace });

  const MODES = ["slider", "flip", "beside"];
  const LEVELS = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
  const LARGEST = LEVELS.at(-1);
  const GAP = 2; // CSS pixels between pictures side by side
  const REACH = 22; // CSS pixels on either side of the divider
  const MARGIN = 8; // CSS pixels around labels
  const MOVED = 6; // CSS pixels from which on a tap is a drag

  // left, right: numbers of points. divider: where it is on the visible picture, 0 to 1. x, y: the place of the picture
  // in the middle of each pane. fitted: the scale follows the window. flipped, held: which of two is seen in full.
  const view = {
    mode: "slider",
    left: 0,
    right: 1,
    divider: 0.5,
    scale: 1,
    x: width / 2,
    y: height / 2,
    fitted: true,
    flipped: false,
    held: false,
  };

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const density = () => canvas.width / stage.clientWidth || 1;

  // ---- geometry ----

  // Where pictures are drawn: all of the canvas, or two halves of it along its longer side.
  function panes() {
    const whole = { left: 0, top: 0, width: canvas.width, height: canvas.height };
    if (view.mode !== "beside") return [whole];
    const gap = Math.round(GAP * density());
    const [along, start] = isTall() ? ["height", "top"] : ["width", "left"];
    const size = Math.floor((whole[along] - gap) / 2);
    return [
      { ...whole, [along]: size },
      { ...whole, [start]: size + gap, [along]: size },
    ];
  }

  const isTall = () => canvas.height > canvas.width;

  // The scale at which a whole picture is seen. On coarse screens enlarged pixels are all equally large.
  function fitting() {
    const [pane] = panes();
    const scale = Math.min(pane.width / width, pane.height / height) || 1;
    return scale > 1 && density() < 1.5 ? Math.min(Math.floor(scale), LARGEST) : Math.min(scale, LARGEST);
  }

  const smallest = () => Math.min(fitting(), 1);

  // The rectangle of the whole picture in a pane.
  function placed(pane) {
    return {
      left: Math.round(pane.left + pane.width / 2 - view.x * view.scale),
      top: Math.round(pane.top + pane.height / 2 - view.y * view.scale),
      width: Math.round(width * view.scale),
      height: Math.round(height * view.scale),
    };
  }

  // The part of that rectangle which is inside the pane.
  function visible(pane) {
    const picture = placed(pane);
    const left = Math.max(picture.left, pane.left);
    const top = Math.max(picture.top, pane.top);
    const width = Math.min(picture.left + picture.width, pane.left + pane.width) - left;
    const height = Math.min(picture.top + picture.height, pane.top + pane.height) - top;
    return { left, top, width, height };
  }

  const dividerPlace = () => {
    const seen = visible(panes()[0]);
    return Math.round(seen.left + view.divider * seen.width);
  };

  // Whether the picture is larger than its pane, so that dragging moves it.
  function isLoose() {
    const [pane] = panes();
    return width * view.scale > pane.width + 1 || height * view.scale > pane.height + 1;
  }

  function settle() {
    if (view.fitted) view.scale = fitting();
    const [pane] = panes();
    const kept = (place, size, room) => {
      const half = room / 2 / view.scale;
      return size <= 2 * half ? size / 2 : clamp(place, half, size - half);
    };
    view.x = kept(view.x, width, pane.width);
    view.y = kept(view.y, height, pane.height);
  }

  function paneAt({ x, y }) {
    const all = panes();
    return all.find((pane) => x < pane.left + pane.width && y < pane.top + pane.height) ?? all.at(-1);
  }

  const center = (pane) => ({ x: pane.left + pane.width / 2, y: pane.top + pane.height / 2 });

  // The place in the picture that is seen at a place of the canvas.
  function seenAt(at) {
    const { x, y } = center(paneAt(at));
    return { x: view.x + (at.x - x) / view.scale, y: view.y + (at.y - y) / view.scale };
  }

  // Change the scale, and bring a place in the picture to a place of the canvas.
  function hold(place, at, pane, scale) {
    const { x, y } = center(pane);
    view.scale = clamp(scale, smallest(), LARGEST);
    view.x = place.x - (at.x - x) / view.scale;
    view.y = place.y - (at.y - y) / view.scale;
    view.fitted = view.scale === fitting();
    update();
  }

  // Change the scale so that what is seen at a place of the canvas stays there.
  const zoom = (scale, at = center(panes()[0])) => hold(seenAt(at), at, paneAt(at), scale);

  function step(larger) {
    const levels = [...new Set([...LEVELS, fitting()])].sort((a, b) => a - b);
    const next = larger
      ? levels.find((level) => level > view.scale * 1.001)
      : levels.findLast((level) => level < view.scale * 0.999);
    zoom(next ?? view.scale);
  }

  const fit = () => zoom(fitting());
  const exact = () => zoom(1);
  const closer = (at) => zoom(fitting() < 1 ? 1 : 2 * Math.ceil(fitting()), at);

  function pan(x, y) {
    view.x -= x / view.scale;
    view.y -= y / view.scale;
    update();
  }

  function divide(share) {
    view.divider = clamp(share, 0, 1);
    update();
  }

  // ---- drawing ----

  let asked = 0;

  function update() {
    settle();
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
      describe();
    });
  }

  // What is seen: the number of a point, its pane, and the columns of the canvas to keep.
  function parts() {
    const other = view.flipped !== view.held;
    const [first, second] = panes();
    const all = (pane) => [pane.left, pane.left + pane.width];
    if (view.mode === "flip") return [[other ? view.left : view.right, first, all(first)]];
    if (view.mode === "beside") {
      return [
        [view.left, first, all(first)],
        [view.held ? view.left : view.right, second, all(second)],
      ];
    }
    if (view.held) return [[view.left, first, all(first)]];
    const place = dividerPlace();
    return [
      [view.left, first, [0, place]],
      [view.right, first, [place, canvas.width]],
    ];
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    // Pixels are crisp from one to one on, but for a picture that is fitted to a fine screen at a scale like 1.4.
    const uneven = view.fitted && view.scale < 2 && view.scale !== 1;
    context.imageSmoothingEnabled = view.scale < 1 || uneven;
    context.imageSmoothingQuality = "high";
    for (const [number, pane, [start, end]] of parts()) {
      if (end <= start) continue;
      const picture = placed(pane);
      context.save();
      context.beginPath();
      context.rect(start, pane.top, end - start, pane.height);
      context.clip();
      context.drawImage(pictures[number], picture.left, picture.top, picture.width, picture.height);
      context.restore();
    }
  }

  // Put a label over the picture in a pane, at its left or right edge; inside, where there is no room over it. Two that
  // share a narrow picture move apart.
  function attach(label, pane, toTheRight, shared) {
    const seen = visible(pane);
    const inCss = (length) => length / density();
    const over = inCss(seen.top - pane.top) >= label.offsetHeight + 2 * MARGIN;
    const before = toTheRight ? pane.left + pane.width - seen.left - seen.width : seen.left - pane.left;
    const edge = inCss(before) + (over ? 0 : MARGIN);
    const apart = inCss(before + seen.width / 2) - label.offsetWidth - MARGIN / 2;
    const outside = inCss(toTheRight ? canvas.width - pane.left - pane.width : pane.left);
    label.style[toTheRight ? "left" : "right"] = "auto";
    label.style[toTheRight ? "right" : "left"] =
      `${outside + Math.max(shared ? Math.min(edge, apart) : edge, MARGIN)}px`;
    label.style.top = `${inCss(seen.top) + (over ? -label.offsetHeight - MARGIN : MARGIN)}px`;
  }

  const brief = (point) => [point.name, point.facts[0][1]].join(" · ");

  function describe() {
    const { mode, left, right, held } = view;
    const slider = mode === "slider" && !held;
    divider.hidden = !slider;
    const seen = visible(panes()[0]);
    divider.style.left = `${dividerPlace() / density()}px`;
    divider.style.top = `${seen.top / density()}px`;
    divider.style.height = `${seen.height / density()}px`;
    const percent = Math.round(100 * view.divider);
    divider.setAttribute("aria-valuenow", percent);
    divider.setAttribute("aria-valuetext", `${percent} % ${points[left].name}, the rest ${points[right].name}`);

    const shown = parts();
    const labels = [element("left-label"), element("right-label")];
    const leftAlone = shown.length === 1 && (mode !== "flip" || view.flipped !== held);
    labels.forEach((label, side) => {
      label.hidden = shown.length === 1 && leftAlone !== (side === 0); // alone, a picture is named on its own side
      const [number, pane] = shown[side] ?? shown[0];
      label.textContent = brief(points[number]);
      attach(label, pane, side === 1 && mode !== "beside", slider);
    });

    element("scale").textContent = `${Math.round(100 * view.scale)} %`;
    stage.classList.toggle("loose", isLoose());
    const names = shown.map((part) => points[part[0]].name);
    canvas.setAttribute("aria-label", names.join(" beside "));
    for (const button of document.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", button.dataset.mode === mode);
    }
    [...element("points").children].forEach((item, number) => {
      item.classList.toggle("shown", number === left || number === right);
      for (const button of item.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", view[button.dataset.side] === number);
      }
    });
    // For tests and for other scripts: the state, as it is drawn.
    document.documentElement.dataset.view = JSON.stringify(view);
  }

  // ---- choosing ----

  function choose(side, number) {
    if (!(number in points)) return;
    view[side] = number;
    view.flipped = false;
    say(`${side}: ${points[number].name}, ${points[number].facts.map((fact) => fact.join(" ")).join(", ")}`);
    element("points").children[number].scrollIntoView({ block: "nearest", inline: "nearest" });
    update();
  }

  function exchange() {
    [view.left, view.right] = [view.right, view.left];
    update();
  }

  function show(mode) {
    view.mode = mode;
    view.flipped = false;
    update();
  }

  function say(text) {
    element("status").textContent = text;
  }

  function listPoints() {
    points.forEach((point, number) => {
      const item = element("point").content.firstElementChild.cloneNode(true);
      item.querySelector("kbd").textContent = number < 10 ? number : "";
      item.querySelector("kbd").hidden = number >= 10;
      item.querySelector("b").textContent = item.querySelector("b").title = point.name;
      item.querySelector("i").textContent = item.querySelector("i").title = point.file;
      for (const [name, value] of point.facts) {
        const [term, fact] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        fact.textContent = value;
        item.querySelector("dl").append(term, fact);
      }
      for (const button of item.querySelectorAll("button")) {
        button.setAttribute("aria-label", `${point.name} on the ${button.dataset.side}`);
      }
      item.addEventListener("click", (event) => {
        choose(event.target.closest("button")?.dataset.side ?? (event.shiftKey ? "left" : "right"), number);
      });
      element("points").append(item);
    });
  }

  // ---- pointers ----

  const pointers = new Map(); // by their id: where they are on the canvas
  let drag = null; // { kind: "divide" | "pan" | "pinch", ... }

  function position(event) {
    const box = stage.getBoundingClientRect();
    return { x: (event.clientX - box.left) * density(), y: (event.clientY - box.top) * density() };
  }

  // The middle between two fingers, and how far apart they are.
  const fingers = () => {
    const [a, b] = [...pointers.values()];
    return { at: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, distance: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  };

  function divideAt(x) {
    const seen = visible(panes()[0]);
    divide((x - seen.left) / seen.width);
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointers.size === 2) return;
    event.preventDefault();
    divider.focus({ preventScroll: true, focusVisible: false });
    stage.setPointerCapture(event.pointerId);
    const at = position(event);
    pointers.set(event.pointerId, at);
    if (pointers.size === 2) {
      const { at, distance } = fingers();
      drag = { kind: "pinch", place: seenAt(at), pane: paneAt(at), unit: view.scale / distance };
      return;
    }
    const near = Math.abs(at.x - dividerPlace()) <= REACH * density();
    const divides = view.mode === "slider" && (near || !isLoose());
    drag = { kind: divides ? "divide" : "pan", from: at, moved: false };
    if (divides && !near) divideAt(at.x);
    stage.classList.toggle("dragged", !divides && isLoose());
  });

  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const at = position(event);
    pointers.set(event.pointerId, at);
    if (drag.kind === "pinch") {
      const now = fingers();
      hold(drag.place, now.at, drag.pane, drag.unit * now.distance);
      return;
    }
    drag.moved ||= Math.hypot(at.x - drag.from.x, at.y - drag.from.y) > MOVED * density();
    if (drag.kind === "divide") divideAt(at.x);
    else pan(at.x - before.x, at.y - before.y);
  });

  function release(event) {
    if (!pointers.delete(event.pointerId)) return;
    const tapped = event.type === "pointerup" && drag.kind === "pan" && !drag.moved;
    if (tapped && view.mode === "flip") {
      view.flipped = !view.flipped;
      update();
    }
    // The finger that stays after a pinch moves the picture.
    const [rest] = pointers.values();
    drag = rest ? { kind: "pan", from: rest, moved: true } : null;
    if (!rest) stage.classList.remove("dragged");
  }

  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);

  stage.addEventListener("dblclick", (event) => {
    const at = position(event);
    if (view.fitted) closer(at);
    else fit();
  });

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 33;
      // Browsers tell a pinch on a touchpad as a wheel with Ctrl, in small steps.
      const power = clamp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002), -0.5, 0.5);
      const at = position(event);
      zoom(view.scale * Math.exp(power), at);
    },
    { passive: false },
  );

  // ---- keys and buttons ----

  const move = (share) => () => view.mode === "slider" && divide(view.divider + share);
  const shift = (x, y) => () => pan(x * 64 * density(), y * 64 * density());
  const keys = {
    ArrowLeft: move(-0.01),
    ArrowDown: move(-0.01),
    ArrowRight: move(0.01),
    ArrowUp: move(0.01),
    PageDown: move(-0.1),
    PageUp: move(0.1),
    Home: () => divide(0),
    End: () => divide(1),
    "+": () => step(true),
    "=": () => step(true),
    "-": () => step(false),
    "−": () => step(false),
    f: fit,
    o: exact,
    x: exchange,
    m: () => show(MODES[(MODES.indexOf(view.mode) + 1) % MODES.length]),
    "?": () => help.showModal(),
  };
  const shifted = {
    ArrowLeft: shift(1, 0),
    ArrowRight: shift(-1, 0),
    ArrowUp: shift(0, 1),
    ArrowDown: shift(0, -1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === " ") {
      if (event.target.closest("button")) return;
      event.preventDefault();
      view.held = true;
      update();
      return;
    }
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
    const act = digit
      ? () => choose(event.shiftKey ? "left" : "right", Number(digit[1]))
      : (event.shiftKey && shifted[event.key]) || keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  function letGo() {
    if (!view.held) return;
    view.held = false;
    update();
  }

  document.addEventListener("keyup", (event) => event.key === " " && letGo());
  window.addEventListener("blur", letGo);

  // After a click the keys are the page's again: Space would press the button once more.
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && !help.open) divider.focus({ preventScroll: true, focusVisible: false });
  });

  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => show(button.dataset.mode));
  }
  element("smaller").addEventListener("click", () => step(false));
  element("larger").addEventListener("click", () => step(true));
  element("fit").addEventListener("click", fit);
  element("exact").addEventListener("click", exact);
  element("ask").addEventListener("click", () => help.showModal());

  // ---- start ----

  function resize(pixels) {
    const measured = pixels?.devicePixelContentBoxSize?.[0];
    // Exact where a window is magnified by 110 % or so; but emulated screens measure pixels of another size.
    const pixelsOf = (length, exact) => {
      const rounded = Math.round(length * devicePixelRatio);
      return Math.abs(exact - rounded) <= 1 ? exact : rounded;
    };
    canvas.width = pixelsOf(stage.clientWidth, measured?.inlineSize);
    canvas.height = pixelsOf(stage.clientHeight, measured?.blockSize);
    settle();
    draw(); // at once: a canvas is empty when its size changes
    describe();
  }

  listPoints();
  await Promise.all([view.left, view.right].map((number) => pictures[number].decode()));
  resize();
  const observer = new ResizeObserver((entries) => resize(entries.at(-1)));
  try {
    observer.observe(stage, { box: "device-pixel-content-box" });
  } catch {
    observer.observe(stage);
  }
  document.documentElement.dataset.state = "ready";
  for (const picture of pictures) await picture.decode(); // so that the first look at each is as quick as the next
})();
