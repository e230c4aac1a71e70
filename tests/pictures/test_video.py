"""Pictures and videos have the given content, and are never half written."""

import io
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from PIL import Image

from planet_jax.pictures import video


def frames(count):
    """Each of a brightness of its own."""
    return [np.full((34, 50, 3), 20 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize('speed', [12.5, 50])
def test_a_video_holds_its_frames_in_order_at_its_speed(speed, tmp_path):
    path = tmp_path / 'new folder' / 'video.mp4'
    video.write_video(path, frames(11), speed)
    read = imageio.v3.imread(path)
    assert read.shape == (11, 34, 50, 3)
    np.testing.assert_allclose(read.mean((1, 2, 3)), [20 * number for number in range(11)], atol=4)
    assert imageio.v3.immeta(path)['fps'] == speed
    assert [path.name for path in path.parent.iterdir()] == ['video.mp4']


def test_a_moving_picture_holds_its_frames_and_begins_again(tmp_path):
    path = tmp_path / 'video.webp'
    video.write_video(path, frames(11), 12.5)
    with Image.open(path) as picture:
        assert (picture.n_frames, picture.info['loop'], picture.size) == (11, 0, (50, 34))
        for number in range(11):
            picture.seek(number)
            assert np.asarray(picture.convert('RGB')).mean() == pytest.approx(20 * number, abs=4)
            assert picture.info['duration'] == 80


@pytest.mark.parametrize('name', [
    'gymnasium:Ant-v5.mp4', 'http:/a.mp4', '-y.mp4', 'a%03d.mp4', 'pipe:1.mp4', "[a]'| ö.mp4"])
def test_no_name_of_a_video_is_taken_for_a_protocol_or_an_option(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    video.write_video(path, frames(2), 10)
    assert [str(found.relative_to(tmp_path)) for found in tmp_path.rglob('*.mp4')] == [name]
    assert imageio.v3.imread(io.BytesIO(path.read_bytes()), extension='.mp4').shape == (2, 34, 50, 3)


@pytest.mark.parametrize('program, error', [('nowhere', FileNotFoundError), ('/bin/false', RuntimeError)])
def test_without_ffmpeg_there_is_no_file(program, error, tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGEIO_FFMPEG_EXE', program)
    with pytest.raises(error):
        video.write_video(tmp_path / 'video.mp4', frames(3), 10)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_was_there_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / 'picture.png'
    video.write_picture(path, frames(2)[1])
    with pytest.raises(TypeError):
        video.write_picture(path, np.zeros((4, 4, 3)))
    np.testing.assert_array_equal(imageio.v3.imread(path), frames(2)[1])
    assert list(tmp_path.iterdir()) == [path]


def test_panels_show_their_pictures_pixel_by_pixel():
    small = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    frame = video.panels({'one': small, 'two': np.repeat(np.repeat(small, 16, 0), 16, 1)}, ('words', 'more'), 64)
    top, right = video.MARGIN + 22, 2 * video.MARGIN + 64
    one, two = (frame[top:top + 64, left:left + 64] for left in (video.MARGIN, right))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[8::16, 8::16], small)
    assert not any(side % 2 for side in frame.shape[:2])
    assert (frame[:top] != video.BACKGROUND).any() and (frame[top + 64:] != video.BACKGROUND).any()


def test_a_long_caption_is_written_smaller_and_not_cut_off():
    """As below a task of one's own with a long name."""
    name = 'grid_world:gymnasium_env/GridWorld-v0, episode 1 of 1, after 200 episodes and 20000 updates'
    frame = video.panels({'simulator': np.zeros((32, 32, 3), np.uint8)}, ['step 1', name], 64)
    text = np.flatnonzero((frame[-22:] != video.BACKGROUND).any((0, 2)))
    assert text.max() < frame.shape[1] - video.MARGIN and text.max() > 0.8 * frame.shape[1]
