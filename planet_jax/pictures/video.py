"""Pictures and videos with labels, written whole or not at all."""

import contextlib
import functools
import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from planet_jax.storage.files import replacing

BACKGROUND, INK, FAINT, ACCENT = (24, 24, 28), (236, 236, 236), (150, 150, 155), (255, 196, 0)
"""Colours of the page, of text, of less important text, and of highlights."""
MARGIN = 8
"""Pixels around and between pictures."""
LEAST_WIDTH = 560
"""Smallest width of a frame in pixels, with room for the text below small pictures."""
LEAST_TEXT = 8
"""Smallest size of text that can be read, in pixels."""


CODECS = {
    '.mp4': ('-c:v', 'libx264', '-crf', '23', '-preset', 'fast', '-pix_fmt', 'yuv420p', '-movflags', '+faststart',
             '-threads', '1', '-f', 'mp4'),
    '.webp': ('-c:v', 'libwebp_anim', '-q:v', '60', '-loop', '0', '-f', 'webp'),
}
"""Options of ffmpeg by the ending of the file: H.264, or an animated picture for a page."""


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Page:
    """A picture in the making."""

    def __init__(self, width: int, height: int):
        """A dark page, each side rounded up to an even number of pixels, as videos need."""
        self._image = Image.new('RGB', (width + width % 2, height + height % 2), BACKGROUND)
        self._draw, self.width = ImageDraw.Draw(self._image), self._image.width

    def paste(self, image: np.ndarray, left: int, top: int, size: int) -> None:
        """Puts an image at a place, `size` pixels wide and high.

        Args:
            image: uint8 [height, width, channels]; another size is scaled without smoothing and keeps its aspect
                ratio. Of a stack of frames the newest is shown: the last channel in gray, or the last three in colour.
            left: pixels.
            top: pixels.
            size: pixels.
        """
        height, width, channels = image.shape
        image = image[..., -3:] if channels % 3 == 0 else np.repeat(image[..., -1:], 3, -1)
        sides = [max(round(size * side / max(height, width)), 1) for side in (width, height)]
        place = left + (size - sides[0]) // 2, top + (size - sides[1]) // 2
        self._image.paste(Image.fromarray(np.ascontiguousarray(image)).resize(sides, Image.Resampling.NEAREST), place)

    def write(self, text: str, left: int, top: int, size: int = 14, color: tuple[int, int, int] = INK,
              anchor: str = 'lt', room: float = float('inf')) -> None:
        """Writes a line of text. The anchor is Pillow's, such as 'lt' for left top.

        A line longer than `room` pixels is written smaller, down to LEAST_TEXT.
        """
        while size > LEAST_TEXT and _font(size).getlength(text) > room:
            size -= 1
        self._draw.text((left, top), text, fill=color, font=_font(size), anchor=anchor)

    def frame(self, left: int, top: int, size: int) -> None:
        """Draws a border around a picture."""
        self._draw.rectangle((left - 2, top - 2, left + size + 1, top + size + 1), outline=ACCENT, width=2)

    def pixels(self) -> np.ndarray:
        """uint8 [height, width, 3]."""
        return np.array(self._image)


def panels(pictures: dict[str, np.ndarray], captions: Sequence[str], size: int, marked: Sequence[str] = (),
           ) -> np.ndarray:
    """A frame of a video: pictures side by side, a label above each, and lines below.

    Args:
        pictures: label to image, uint8 [height, width, 3].
        captions: lines of text below.
        size: of each picture, in pixels.
        marked: labels of pictures that get a border.

    Returns:
        uint8 [height, width, 3], both even.
    """
    top = MARGIN + 22
    page = Page(max(MARGIN + len(pictures) * (size + MARGIN), LEAST_WIDTH), top + size + MARGIN + 22 * len(captions))
    for column, (label, image) in enumerate(pictures.items()):
        left = MARGIN + column * (size + MARGIN)
        page.paste(image, left, top, size)
        page.write(label, left, top - 6, color=ACCENT if label in marked else FAINT, anchor='ls')
        if label in marked:
            page.frame(left, top, size)
    for row, caption in enumerate(captions):
        page.write(caption, MARGIN, top + size + MARGIN + 22 * row, 15, INK if not row else FAINT,
                   room=page.width - 2 * MARGIN)
    return page.pixels()


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Lets a function write a file that takes its place only once it is whole. An existing file is replaced.

    Args:
        path: of the file; its folder is made if it is missing.
        write: takes the path of a file beside it.
    """
    with replacing(path) as partial:
        write(partial)


def write_picture(path: Path, image: np.ndarray) -> None:
    """Writes a PNG of uint8 [height, width, 3]."""
    write_whole(path, lambda partial: Image.fromarray(image).save(partial, 'PNG'))


def write_video(path: Path, frames: Iterable[np.ndarray], frames_per_second: float) -> None:
    """Writes a video that browsers play.

    Args:
        path: of the file, whose ending is one of `CODECS`.
        frames: uint8 [height, width, 3] each, of one size, both sides even.
        frames_per_second: of the playback.

    Raises:
        RuntimeError: ffmpeg fails. The message is its own.
    """
    frames = iter(frames)
    first = next(frames)
    height, width, _ = first.shape
    # Not with imageio's writer, which forks this process; that may hang beside the threads of JAX.
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-loglevel', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'rgb24',
               '-s', f'{width}x{height}', '-r', f'{frames_per_second}', '-i', '-', *CODECS[path.suffix]]

    def write(partial):
        # A whole path after a protocol, since a colon in a name would end a protocol, and a dash would begin an option.
        target = f'file:{partial.absolute()}'
        # Its own process group, so that Ctrl-C reaches only this process, which decides when to stop.
        with tempfile.TemporaryFile() as told, subprocess.Popen(
                [*command, target], stdin=subprocess.PIPE, stderr=told, process_group=0) as process:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                for frame in itertools.chain([first], frames):
                    process.stdin.write(frame.tobytes())
            if process.wait():
                told.seek(0)
                raise RuntimeError(f'ffmpeg could not write {path}: {told.read().decode(errors="replace").strip()}')

    write_whole(path, write)
