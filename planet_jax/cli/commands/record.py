"""`planet-jax record`: films the trained agent, larger than it sees itself, beside its decoded belief."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from planet_jax.cli.options import OfRun, at_least
from planet_jax.cli.values import new_file


@dataclass(frozen=True, kw_only=True)
class Record(OfRun):
    """Record a video of a trained agent beside its decoded belief."""

    episodes: int = 1
    """Number of episodes, one after the other; they are the first of an evaluation."""
    out: Path | None = None
    """The file, .mp4, or .webp for a picture that moves in a page; by default TASK-EPISODES.mp4. Several tasks have one
    each, with the task in its name."""
    size: int = 256
    """Height and width of each picture, in pixels."""

    def __post_init__(self):
        at_least(self, episodes=1, size=64)
        if self.size > 2048:
            raise ValueError(f'size is {self.size}, but pictures are rendered at 2048 pixels at most.')


def run(command: Record, arguments: Sequence[str], console: Console) -> int:
    """Records evaluation episodes of a run's agent, one after the other, a video for each task.

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        FileExistsError: there is such a file already.
        RuntimeError: images cannot be rendered here, or there is no ffmpeg.
    """
    from planet_jax import envs
    from planet_jax.cli.progress import Display
    from planet_jax.pictures import video
    from planet_jax.runs.trained.agent import Trained
    from planet_jax.runs.trained.viewing import View, frames

    del arguments
    trained = Trained.read(command.run, command.trust_task)
    of_run, out = trained.run, command.out
    tasks = [*map(envs.file_name, of_run.tasks)]
    names = [out or Path(f'{task}-{trained.episodes:06d}.mp4') for task in tasks]
    if out and len(names) > 1:
        names = [out.with_stem(f'{out.stem}-{task}') for task in tasks]
    paths = [new_file(name, *video.CODECS) for name in names]
    for task, steps, path in zip(of_run.tasks, of_run.task_steps, paths):
        with Display(console, command.episodes) as display:
            view = View(task, trained, command.size, display.say)
            display.phase(f'recording {task}', command.episodes * steps, 'steps')
            speed = view.env.metadata['render_fps']
            try:
                video.write_video(path, frames(trained, view, task, command.episodes, command.size, display.say,
                                               display.advance), speed)
            finally:
                view.close()
            display.say(f'{path}: {command.episodes * (steps + 1)} frames, {speed:.3g} a second')
    return 0
