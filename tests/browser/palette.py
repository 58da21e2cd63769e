"""A screenshot as a PNG with a palette, a third of the size that Chromium writes.

Pages have few colours, most of them shades at the edges of letters: 256 are enough for the eye.
The pixels are read and matched by the browser, which can; writing a PNG takes zlib alone.
"""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.sync_api import Page

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS_MAX = 256

# The width, the height, the palette as RGB bytes, and a byte for each pixel. The most frequent
# colours stay as they are, each other one takes the nearest of them.
REDUCE = """async ([png, most]) => {
  const answer = await fetch(`data:image/png;base64,${png}`);
  const bitmap = await createImageBitmap(await answer.blob());
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const ranked = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  const rgb = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const palette = ranked.slice(0, most).map(rgb);
  const index = new Map(ranked.slice(0, most).map((pixel, number) => [pixel, number]));
  for (const pixel of ranked.slice(most)) {
    const [r, g, b] = rgb(pixel);
    let best = 0, least = Infinity;
    palette.forEach(([red, green, blue], number) => {
      const distance = (red - r) ** 2 + (green - g) ** 2 + (blue - b) ** 2;
      if (distance < least) [best, least] = [number, distance];
    });
    index.set(pixel, best);
  }
  const coded = new Blob([Uint8Array.from(pixels, (pixel) => index.get(pixel))]);
  const reader = new FileReader();
  const read = new Promise((done) => reader.addEventListener("load", done));
  reader.readAsDataURL(coded);
  await read;
  return [width, height, palette.flat(), reader.result.split(",")[1]];
}"""


def reduced(page: Page, png: bytes) -> bytes:
    """The picture with at most 256 colours; `page` is any open one that has no CSP."""
    words = [base64.b64encode(png).decode(), COLOURS_MAX]
    width, height, palette, coded = page.evaluate(REDUCE, words)
    pixels = base64.b64decode(coded)
    # Each line is preceded by its filter: none, which suits a palette.
    lines = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    return SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(palette)),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
