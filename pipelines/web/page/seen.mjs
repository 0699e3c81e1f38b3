// Shows the picture as the model gets it, pixel by pixel.

export function showSeen(canvas, item) {
  canvas.hidden = !item.seen;
  if (!item.seen) return;
  const { width, height, channels, data } = item.seen;
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      image.data[4 * at + colour] = bytes[channels === 3 ? 3 * at + colour : at];
    }
    image.data[4 * at + 3] = 255;
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `${item.title}, ${width} by ${height} pixels`);
}
