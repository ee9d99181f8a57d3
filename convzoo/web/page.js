// What the components of every tab share: numbers, planes of numbers as pixels, and steps that play.
window.cz = {
  // base64 of float32 -> Float32Array
  floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  },

  number(value, digits = 2) {
    const text = Math.abs(value) >= 1000 ? value.toPrecision(3) : value.toFixed(digits);
    return (Number(text) === 0 ? (0).toFixed(digits) : text).replace("-", "−");
  },

  colour(name, element) {
    return getComputedStyle(element).getPropertyValue(name).trim();
  },

  // A plane into a canvas, a pixel a number: signed ones warm and cool by |value| / limit, others grey or ink.
  plane(canvas, values, height, width, { limit = 0, ink = false } = {}) {
    const image = new ImageData(width, height);
    for (let i = 0; i < values.length; i++) {
      const value = values[i], at = 4 * i;
      const grey = Math.round(255 * Math.min(1, Math.max(0, value)));
      const rgba = limit
        ? [...(value >= 0 ? [217, 101, 37] : [58, 124, 190]), 255 * Math.min(1, Math.abs(value) / limit)]
        : ink ? [51, 85, 127, grey] : [grey, grey, grey, 255];
      image.data.set(rgba, at);
    }
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(image, 0, 0);
  },

  // The style of a signed number's cell: the colour's strength is its size.
  signed(value, limit) {
    const share = Math.round(100 * Math.min(1, Math.abs(value) / (limit || 1)));
    return `color-mix(in srgb, var(--${value >= 0 ? "pos" : "neg"}) ${share}%, transparent)`;
  },

  // Buttons, a slider and the arrow keys over the steps of `draw(step)`; `count()` says how many there are.
  player(root, count, draw, milliseconds = 450) {
    const slider = root.querySelector("[data-step]"), play = root.querySelector("[data-play]");
    let timer = 0;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const to = (step) => {
      slider.max = Math.max(count() - 1, 0);
      slider.value = Math.min(Math.max(step, 0), slider.max);
      draw(Number(slider.value));
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      play.textContent = "▶ Play";
      play.setAttribute("aria-pressed", "false");
    };
    const start = () => {
      play.textContent = "❚❚ Pause";
      play.setAttribute("aria-pressed", "true");
      if (Number(slider.value) >= Number(slider.max)) to(0);
      const pace = () => Number(root.querySelector("[data-pace]")?.value || 1);
      timer = setInterval(() => {
        if (!root.isConnected || Number(slider.value) >= Number(slider.max)) return stop();
        to(Number(slider.value) + 1);
      }, (calm ? 1200 : milliseconds) / pace());
    };
    slider.addEventListener("input", () => to(Number(slider.value)));
    play.addEventListener("click", () => (timer ? stop() : start()));
    root.querySelector("[data-back]").addEventListener("click", () => { stop(); to(Number(slider.value) - 1); });
    root.querySelector("[data-on]").addEventListener("click", () => { stop(); to(Number(slider.value) + 1); });
    return { to, stop, at: () => Number(slider.value) };
  },
};
