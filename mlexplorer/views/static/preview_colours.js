// Colours for values: a ramp that is even in lightness as the eye sees it (OKLab, Ottosson 2020), from dark violet over
// red to light yellow, so that equal steps look equal and the ramp also reads in black and white.

function srgbOfOklch(lightness, chroma, degrees) {
  const angle = (degrees * Math.PI) / 180;
  const [a, b] = [chroma * Math.cos(angle), chroma * Math.sin(angle)];
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
}

const gamma = (linear) => 255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055);

// As much chroma as the screen can show at that lightness and hue, up to `chroma`.
function inGamut(lightness, chroma, degrees) {
  for (let share = 1; share > 0; share -= 0.02) {
    const linear = srgbOfOklch(lightness, chroma * share, degrees);
    if (linear.every((channel) => channel >= -0.0005 && channel <= 1.0005)) return linear;
  }
  return srgbOfOklch(lightness, 0, 0);
}

// 256 colours as 0xAABBGGRR, as pixels lie in memory.
const RAMP = Uint32Array.from({ length: 256 }, (_, index) => {
  const t = index / 255;
  const linear = inGamut(0.17 + 0.78 * t, 0.04 + 0.19 * Math.sin(Math.PI * Math.min(1, t * 1.05)), 285 + 180 * t);
  const [red, green, blue] = linear.map((channel) => Math.round(Math.min(255, Math.max(0, gamma(Math.min(1, Math.max(0, channel)))))));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});

// Where a difference of pixel values lies on the ramp, 0..1: each doubling takes the same way, and 0 has its place.
const differencePlace = (difference) => Math.log2(1 + difference) / 8;

const DIFFERENCE_COLOURS = Uint32Array.from({ length: 256 }, (_, difference) => RAMP[Math.round(differencePlace(difference) * 255)]);

// A picture of one row that shows the whole ramp, for legends.
function rampPicture() {
  const canvas = html("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(RAMP.buffer.slice(0)), 256, 1), 0, 0);
  return canvas;
}
