"""The configuration: refused values, JSON and back, and the presets."""

import ast
import dataclasses
import json
import math
from pathlib import Path

import pytest

from planet_jax import config
from planet_jax.config import (
    Collector,
    Config,
    Env,
    Evaluation,
    EvaluationPlanner,
    Learner,
    Model,
    Objective,
    Planner,
    Replay,
    checks,
    saved,
)

GROUPS = {'env': Env, 'model': Model, 'objective': Objective, 'planner': Planner,
          'evaluation_planner': EvaluationPlanner, 'learner': Learner, 'replay': Replay,
          'collector': Collector, 'evaluation': Evaluation}
ROOT = Path(__file__).resolve().parent.parent
OLDEST = ROOT / 'examples/agents/cartpole_swingup/rssm-cpu/0/config.json'
"""Of a run that was begun when many fields were not there."""


THEN = {  # What is here stays, whatever the defaults are.
    'env.steps': None,
    'model.encoder_kernels': (), 'model.encoder_strides': (), 'model.decoder_strides': (), 'model.decoder_start': 1,
    'model.decoder_layers': 0, 'model.decoder_hidden': 256, 'model.vector_symlog': False,
    'model.subtract_mean': False, 'model.first_std': None,
    'objective.image_scale': 1.0, 'objective.kl_balance': None, 'objective.overshooting_distance': 1,
    'objective.overshooting_weights': 'released', 'objective.overshooting_betas': (),
    'objective.overshooting_reward': False, 'objective.open_loop_steps': 0, 'objective.global_prior_scale': 0.0,
    'planner.method': 'cem', 'planner.rollout': 'sample', 'planner.colour': None, 'planner.decay': 1.0,
    'planner.keep': 3, 'planner.momentum': 0.1, 'planner.execute': 'best', 'planner.temperature': 0.5,
    'learner.most_skipped': 10, 'learner.image_shift': 0, 'learner.average': 0.0,
    'learner.rate_halves_after': 0,
    'replay.placement': 'auto', 'replay.keep_files': None,
    'collector.interval_counts': 'each_task', 'collector.agent': 'planet', 'collector.random': 'uniform',
    'collector.correlation': 0.0, 'collector.while_learning': False,
    'evaluation.open_loop': True, 'evaluation.first': None, 'evaluation.growth': 1.5, 'evaluation.full': 0,
    'evaluation.spacing': 0.0,
}


# To JSON and back.


@pytest.mark.parametrize('name', config.PRESETS)
def test_a_preset_survives_json(name):
    original = config.preset(name)
    values = config.to_dict(original)
    assert config.from_dict(values) == original
    assert config.from_dict(json.loads(json.dumps(values))) == original
    assert hash(config.from_dict(values)) == hash(original)
    assert set(values) == set(GROUPS)


def test_every_field_survives_json():
    changed = Config(
        env=Env('state', 'own', ('joints', 'goal'), size=32, supersample=2, camera=1, quality='fast', action_repeat=3,
                steps=7),
        model=Model('ssm', stochastic=5, deterministic=6, hidden=7, min_std=0.2, first_std=0.3, gru='reset_after',
                    image_bits=4, subtract_mean=True,
                    encoder_channels=(3, 4), encoder_kernels=(4, 3), encoder_strides=(4, 2), decoder_channels=(5, 6),
                    decoder_kernels=(5, 6, 6), decoder_strides=(2, 3, 2), decoder_units=8, decoder_start=2,
                    decoder_layers=1, decoder_hidden=4,
                    vector_layers=1, vector_units=9, vector_symlog=True, reward_layers=1, reward_units=10,
                    end_head=False, value_discount=0.9, precision='float32'),
        objective=Objective(image_scale=0.5, reward_scale=2, end_scale=3, kl_scale=0.5, free_nats=1.5,
                            kl_balance=0.8,
                            overshooting_distance=3, overshooting_weights='paper', overshooting_betas=(0.5, 2),
                            overshooting_reward=True, open_loop_steps=4, global_prior_scale=0.1),
        planner=Planner(3, 4, 50, 6, 'mean_absolute', 'per_candidate', 'icem', 'mean', 1.5, 1.25, 2, 0.2, 'mean',
                        0.7, True),
        learner=Learner(batch=7, chunk_length=8, learning_rate=0.1, rate_halves_after=9, adam_epsilon=0.2,
                        adam_epsilon_hat=True, clip_norm=10, image_shift=2, average=0.9, most_skipped=3,
                        updates_per_call=2), replay=Replay(20, 'host', 30),
        collector=Collector(1, 4, 'all_tasks', 'random', 0.5, 'normal', 0.6, 0.2, True),
        evaluation_planner=EvaluationPlanner(1, 2, 30, 4, 'std', 'shared', 'mppi', 'sample', 0.5, 1.1, 1, 0.3,
                                             'best', 2.0, True),
        evaluation=Evaluation(0, 3, False, 2, 2.0, 5, 0.2))
    for group in GROUPS:
        for field in dataclasses.fields(GROUPS[group]):
            default = getattr(getattr(Config(), group), field.name)
            assert getattr(getattr(changed, group), field.name) != default, f'{group}.{field.name} is the default'
    assert config.from_dict(json.loads(json.dumps(config.to_dict(changed)))) == changed


def test_absent_values_are_the_defaults():
    # But for the head, which models did not have when nobody could name it.
    before = Model(end_head=False)
    assert config.from_dict({}) == Config(model=before)
    assert config.from_dict({'planner': {'horizon': 3}}) == Config(model=before, planner=Planner(horizon=3))


def with_today_s_names(values):
    """The settings of a file, with those fields renamed that had another name."""
    return {group: {saved.RENAMED.get(f'{group}.{name}', f'{group}.{name}').partition('.')[2]: value
                    for name, value in fields.items()} for group, fields in values.items()}


def test_a_file_of_an_earlier_version_means_what_its_run_did():
    values = with_today_s_names(json.loads(OLDEST.read_text())['config'])
    read = config.to_dict(config.from_dict(values))
    for group, fields in read.items():
        for name, value in fields.items():
            if name in values.get(group, {}):
                assert value == values[group][name], f'{group}.{name}'
            else:
                then = checks.before(GROUPS[group])
                assert name in then, f'{group}.{name} is new: say by `then` in its `setting` what runs did before'
                assert value == (list(then[name]) if isinstance(then[name], tuple) else then[name]), f'{group}.{name}'


def test_an_absent_field_has_the_value_of_then_and_not_today_s_default(monkeypatch):
    monkeypatch.setattr(saved, 'before', lambda settings: {'image_scale': 3.0} if settings is Objective else {})
    assert config.from_dict({}).objective.image_scale == 3
    assert config.from_dict({'objective': {'image_scale': None}}).objective.image_scale is None


def test_old_names_of_settings_go_on_being_read():
    read = config.from_dict({'objective': {'divergence_scale': 0.25}, 'planner': {'spread': 'mean_absolute'},
                             'evaluation_planner': {'spread': 'std'}})
    assert read.objective.kl_scale == 0.25
    assert (read.planner.std_estimator, read.evaluation_planner.std_estimator) == ('mean_absolute', 'std')
    oldest = json.loads(OLDEST.read_text())['config']
    assert {'divergence_scale'} <= set(oldest['objective']) and config.from_dict(oldest).objective.kl_scale == 1


def test_a_renamed_setting_is_a_field_now_and_was_none_before():
    fields = {f'{group}.{field.name}' for group in GROUPS for field in dataclasses.fields(GROUPS[group])}
    assert set(saved.RENAMED.values()) <= fields and not set(saved.RENAMED) & fields


def test_what_runs_did_before_a_field_never_changes():
    found = {f'{group}.{name}': value for group in GROUPS for name, value in checks.before(GROUPS[group]).items()}
    assert found | THEN == found
    assert set(checks.before(EvaluationPlanner).values()) == {None}
    assert len(checks.before(EvaluationPlanner)) == len(dataclasses.fields(Planner))


def test_to_dict_shares_nothing_with_the_configuration():
    values = config.to_dict(Config())
    values['model']['encoder_channels'].append(1)
    values['planner']['horizon'] = 1
    assert config.to_dict(Config()) != values
    assert Config() == config.preset('planet')


@pytest.mark.parametrize('values, named', [
    ({'planner': {'horizons': 3}}, 'planner.horizons'),
    ({'model': {'cell': 'rssm', 'unit': 1}}, 'model.unit'),
    ({'plan': {}}, "'plan'"),
    ({'planner': {}, 'seed': {'a': 1}}, "'seed'"),
])
def test_unknown_names_are_refused(values, named):
    with pytest.raises(ValueError, match=named):
        config.from_dict(values)


def test_from_dict_checks_values_too():
    with pytest.raises(ValueError, match='planner.horizon is 0'):
        config.from_dict({'planner': {'horizon': 0}})


def test_a_configuration_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().planner.horizon = 3
    assert hash(Config()) == hash(Config())


# What is refused.

AT_LEAST = [
    *[('env', name, value, smallest) for name, smallest in [('size', 8), ('supersample', 1), ('camera', -1),
                                                            ('action_repeat', 1)] for value in (smallest - 1, -100)],
    *[('model', name, value, 1) for name in ('stochastic', 'deterministic', 'hidden', 'decoder_units', 'vector_layers',
                                             'vector_units', 'reward_layers', 'reward_units') for value in (0, -5)],
    *[('model', 'min_std', value, 0) for value in (-0.1, math.nan, math.inf)],
    *[('objective', name, value, 0) for name in (
        'image_scale', 'reward_scale', 'kl_scale', 'free_nats') for value in (-1.0, math.nan, math.inf)],
    *[('planner', name, value, 1) for name in ('horizon', 'iterations', 'candidates', 'elites') for value in (0, -1)],
    *[('planner', name, value, 0) for name in ('colour', 'keep', 'momentum', 'temperature')
      for value in (-1, math.nan)],
    ('planner', 'decay', 0.9, 1),
    *[('evaluation_planner', name, value, 1) for name in ('horizon', 'iterations', 'candidates', 'elites')
      for value in (0, -1)],
    *[('learner', name, value, 1) for name in ('batch', 'chunk_length', 'most_skipped')
      for value in (0, -1)],
    ('learner', 'updates_per_call', -1, 0),
    *[('replay', 'capacity', value, 1) for value in (0, -1)],
    *[('collector', name, value, 1) for name in ('seed_episodes', 'collect_interval') for value in (0, -1)],
    *[('collector', 'noise', value, 0) for value in (-0.3, math.nan)],
    ('evaluation', 'every', -1, 0),
    ('evaluation', 'episodes', 0, 1),
    ('evaluation', 'first', 0, 1),
    ('evaluation', 'growth', 1.0, 1.1),
    ('evaluation', 'full', -1, 0),
]


@pytest.mark.parametrize('group, name, value, smallest', AT_LEAST)
def test_values_below_the_smallest_are_refused(group, name, value, smallest):
    with pytest.raises(ValueError) as error:
        GROUPS[group](**{name: value})
    message = str(error.value)
    assert f'{group}.{name} is {value}' in message
    assert f'nearest valid value is {smallest}.' in message
    # It says the truth: that value is taken. The default number of elites needs as many candidates.
    needed = {'elites': 1} if name == 'candidates' else {}
    assert getattr(GROUPS[group](**{name: smallest}, **needed), name) == smallest


@pytest.mark.parametrize('name', ['learner.learning_rate', 'learner.adam_epsilon', 'learner.clip_norm'])
@pytest.mark.parametrize('value', [0.0, -1e-3, math.nan, math.inf])
def test_values_that_are_not_positive_are_refused(name, value):
    with pytest.raises(ValueError, match=f'{name} is {value}, but must be a positive number'):
        Learner(**{name.split('.')[1]: value})


CHOICES = [(group, field.name) for group, settings in GROUPS.items() for field in dataclasses.fields(settings)
           if isinstance(field.default, str)]


@pytest.mark.parametrize('group, name', CHOICES)
def test_words_that_are_no_choice_are_refused(group, name):
    default = getattr(GROUPS[group](), name)
    with pytest.raises(ValueError) as error:
        GROUPS[group](**{name: default + 's'})
    assert f"{group}.{name} is '{default}s'" in str(error.value)
    assert repr(default) in str(error.value)


@pytest.mark.parametrize('make, words', [
    (lambda: Model(image_bits=0), ['model.image_bits is 0', 'nearest valid value is 1']),
    (lambda: Model(image_bits=9), ['model.image_bits is 9', 'nearest valid value is 8']),
    (lambda: Model(encoder_channels=()), ['model.encoder_channels is empty']),
    (lambda: Model(encoder_channels=(32, 0)), ['model.encoder_channels is (32, 0)', 'at least 1']),
    (lambda: Model(decoder_channels=(32, -1)), ['model.decoder_channels is (32, -1)', 'at least 1']),
    (lambda: Model(decoder_kernels=(5, 0, 6, 6)), ['model.decoder_kernels is (5, 0, 6, 6)', 'at least 1']),
    (lambda: Model(decoder_kernels=(5, 5, 6)), ['model.decoder_kernels has 3', 'model.decoder_channels 3']),
    (lambda: Model(encoder_kernels=(4, 4)), ['model.encoder_kernels has 2', 'model.encoder_channels 4']),
    (lambda: Model(encoder_strides=(2, 2, 2, 2, 2)), ['model.encoder_strides has 5', 'model.encoder_channels 4']),
    (lambda: Model(encoder_strides=(2, 2, 2, 0)), ['model.encoder_strides is (2, 2, 2, 0)', 'at least 1']),
    (lambda: Model(decoder_strides=(2,)), ['model.decoder_strides has 1', 'model.decoder_kernels 4']),
    (lambda: Model(decoder_start=3), ['model.decoder_start is 3', 'model.decoder_units is 1024']),
    (lambda: Env(size=1024, supersample=3), ['env.size 1024', 'env.supersample 3', '3072', '2048']),
    *[(lambda share=share: Objective(kl_balance=share), [f'kl_balance is {share}', f'nearest valid value is {valid}'])
      for share, valid in [(1.5, 1), (-0.1, 0)]],
    (lambda: Planner(candidates=50), ['planner.elites is 100', 'planner.candidates is 50', 'of elites is 50']),
    (lambda: Planner(method='icem', keep=101), ['planner.keep is 101', 'planner.elites 100', 'value of keep is 100']),
    (lambda: Planner(momentum=1.0), ['planner.momentum is 1.0', 'below 1']),
    (lambda: Config(evaluation_planner=EvaluationPlanner(candidates=50)),
     ['evaluation_planner', 'planner.elites is 100', 'planner.candidates is 50', 'of elites is 50']),
    (lambda: Config(env=Env(size=15)), ['env.size is 15', 'sides of 16 to 256']),
    (lambda: Config(env=Env(size=300)), ['env.size is 300', '300 x 300', 'sides of 16 to 256']),
    (lambda: Config(env=Env(size=20), model=Model(encoder_kernels=(20,) * 4)),
     ['env.size is 20', 'model.encoder_kernels', 'fit no networks']),
    (lambda: Config(replay=Replay(capacity=4)), ['replay.capacity is 4', 'seed_episodes is 5', 'capacity is 5']),
])
def test_impossible_combinations_are_refused(make, words):
    with pytest.raises(ValueError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_image_sizes_bind_images_only():
    assert Config(env=Env(observation='state', size=16)).env.size == 16


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError) as error:
        config.preset('plane')
    assert "'plane'" in str(error.value)
    for name in config.PRESETS:
        assert name in str(error.value)


def test_sizes_of_feature_maps():
    sizes = [Model(encoder_channels=(1,) * layers).encoded_size(64) for layers in range(1, 6)]
    assert sizes == [31, 14, 6, 2, 0]
    kernels = [5, 5, 6, 6]
    made = [Model(decoder_channels=(1,) * layers, decoder_kernels=tuple(kernels[:layers + 1])).decoded_size()
            for layers in range(4)]
    assert made == [5, 13, 30, 64]
    patches = Model(encoder_channels=(1, 1), encoder_kernels=(4, 3), encoder_strides=(4, 2), decoder_channels=(1,),
                    decoder_kernels=(4, 2), decoder_strides=(4, 2), decoder_start=4)
    assert (patches.encoded_size(64), patches.encoded_size(32), patches.encoded_size(8)) == (7, 3, 0)
    assert patches.decoded_size() == 32


def test_the_papers_networks_follow_from_the_rule():
    # Other kernels that make the same image are not taken for those of the rule, and the rule finds the paper's.
    paper = config.fit(Model(), 64, 64)
    assert paper == config.fit(Model(decoder_kernels=(5, 5, 5, 5)), 64, 64)
    assert [layer.channels for layer in paper.encoder] == [32, 64, 128, 256] and paper.encoded == (2, 2)
    assert [layer[:2] for layer in paper.decoder] == [(128, (5, 5)), (64, (5, 5)), (32, (6, 6)), (0, (6, 6))]
    assert (paper.units, paper.start) == (1024, (1, 1))
    for name in config.PRESETS:
        preset = config.preset(name)
        model, size = preset.model, preset.env.size
        other = dataclasses.replace(model, decoder_kernels=(min(model.decoder_kernels),) * len(model.decoder_kernels))
        assert config.fit(other, size, size) == config.fit(model, size, size), name


@pytest.mark.parametrize('name', config.PRESETS)
def test_every_size_has_networks_that_make_it(name):
    model = config.preset(name).model
    for height in range(16, 257):
        for width in {16, 64, 97, 256, height}:
            fitted = config.fit(model, height, width)
            for side, encoded, made in zip((height, width), fitted.encoded, fitted.start):
                axis = 0 if (side, encoded, made) == (height, fitted.encoded[0], fitted.start[0]) else 1
                for layer in fitted.encoder:
                    side = (side - layer.kernel[axis]) // layer.stride + 1
                for layer in fitted.decoder:
                    made = layer.stride * (made - 1) + layer.kernel[axis]
                assert side == encoded >= 2 and made == (height, width)[axis]
            assert fitted.units % (fitted.start[0] * fitted.start[1]) == 0
            assert len(fitted.decoder) <= len(fitted.encoder)


# What follows from other fields.


@pytest.mark.parametrize('cell, scale, nats', [('rssm', 1, 3), ('ssm', 1, 3), ('rnn', 1, 0), ('rnn_official', 0, 3)])
def test_what_is_not_given_follows_from_the_cell(cell, scale, nats):
    resolved = Config(model=Model(cell=cell)).resolve()
    assert (resolved.objective.kl_scale, resolved.objective.free_nats) == (scale, nats)
    assert resolved.resolve() == resolved
    given = Objective(kl_scale=0.5, free_nats=2)
    assert Config(model=Model(cell=cell), objective=given).resolve().objective == given


def test_the_free_nats_follow_from_the_balance_unless_they_are_given():
    balanced = Objective(kl_balance=0.8)
    assert balanced.resolve().free_nats == Config(objective=balanced).resolve().objective.free_nats == 1
    assert Config(model=Model(cell='rnn'), objective=balanced).resolve().objective.free_nats == 0
    assert Objective(kl_balance=0.8, free_nats=3).resolve().free_nats == 3


@pytest.mark.parametrize('shape, scale', [((64, 64, 3), 1), ((32, 32, 3), 4), ((5,), 200), ((24,), 1000 / 24)])
def test_small_observations_weigh_as_the_paper_s_images_do(shape, scale):
    assert Objective(image_scale=None).observation_scale(shape) == pytest.approx(scale)
    assert Objective().observation_scale(shape) == 1
    assert Objective(image_scale=7).observation_scale(shape) == 7


def test_the_factor_of_images_is_resolved_and_that_of_vectors_follows_from_their_size():
    free = Objective(image_scale=None)
    cpu = config.preset('cpu')
    assert cpu.resolve().objective.image_scale == 4
    assert Config(objective=free).resolve().objective.image_scale == 1
    assert Config(env=Env('state'), objective=free).resolve().objective.image_scale is None


def test_evaluation_plans_as_collection_does_unless_told_otherwise():
    planner = Planner(3, 4, 50, 6, 'mean_absolute', 'per_candidate')
    resolved = Config(planner=planner, evaluation_planner=EvaluationPlanner(iterations=1, start='shared')).resolve()
    assert resolved.planner == planner
    assert vars(resolved.evaluation_planner) == vars(planner) | {'iterations': 1, 'start': 'shared'}
    assert resolved.evaluation_planner.over(Planner()) == Planner(3, 1, 50, 6, 'mean_absolute', 'shared')


def test_a_planner_of_an_older_config_is_the_cross_entropy_method():
    # What config.json of an earlier version has; its run goes on as it began, whatever its preset is today.
    older = {'horizon': 12, 'iterations': 5, 'candidates': 300, 'elites': 30, 'std_estimator': 'std', 'start': 'shared'}
    read = config.from_dict({'planner': older, 'evaluation_planner': older})
    for planner in (read.planner, read.evaluation_planner.over(read.planner)):
        assert planner == Planner(iterations=5, candidates=300, elites=30)
        assert (planner.method, planner.rollout) == ('cem', 'sample')


@pytest.mark.parametrize('counts, expected', [('each_task', 600), ('all_tasks', 100)])
def test_updates_between_episodes_of_six_tasks(counts, expected):
    assert Collector(interval_counts=counts).interval(6) == expected
    assert Collector(interval_counts=counts).interval(1) == 100


# The presets.


def test_planet_is_the_released_code():
    planet = config.preset('planet')
    assert planet == Config()
    assert planet.env == Env('pixels', size=64, supersample=1, camera=0, quality='suite', action_repeat=None)
    model = planet.model
    assert (model.cell, model.stochastic, model.deterministic, model.hidden) == ('rssm', 30, 200, 200)
    assert (model.min_std, model.gru, model.image_bits) == (0.1, 'reset_before', 5)
    assert (model.encoder_channels, model.decoder_channels) == ((32, 64, 128, 256), (128, 64, 32))
    assert (model.decoder_kernels, model.decoder_units) == ((5, 5, 6, 6), 1024)
    assert (model.reward_layers, model.reward_units) == (3, 300)
    assert planet.resolve().objective == Objective(image_scale=1, reward_scale=10, kl_scale=1, free_nats=3,
                                                   kl_balance=None)
    assert planet.planner == Planner(12, 10, 1000, 100, 'std', 'shared', 'cem', 'sample')
    learner = planet.learner
    assert (learner.batch, learner.chunk_length, learner.learning_rate) == (50, 50, 1e-3)
    assert (learner.adam_epsilon, learner.adam_epsilon_hat, learner.clip_norm) == (1e-4, False, 1000)
    assert planet.replay.capacity is None
    assert planet.collector == Collector(5, 100, 'each_task', 'planet', noise=0.3)
    assert planet.evaluation == Evaluation(every=25, episodes=10)


def test_paper_differs_in_what_the_paper_states():
    planet, paper = (config.to_dict(config.preset(name)) for name in ('planet', 'paper'))
    different = {f'{group}.{name}': value for group, values in paper.items() for name, value in values.items()
                 if value != planet[group][name]}
    assert different == {'model.reward_layers': 2, 'model.reward_units': 200, 'objective.reward_scale': 1,
                         'planner.std_estimator': 'mean_absolute', 'planner.start': 'per_candidate',
                         'collector.interval_counts': 'all_tasks'}


def test_cpu_is_smaller_and_whole():
    cpu = config.preset('cpu')
    assert cpu.env.observation == 'pixels' and cpu.env.size >= 32 and cpu.env.quality == 'fast'
    assert cpu.objective == Objective(image_scale=None, kl_balance=0.8) and cpu.resolve().objective.free_nats == 1
    assert cpu.model.cell == 'rssm' and cpu.model.stochastic > 1 and cpu.model.deterministic > 1
    assert cpu.planner == Planner(16, 3, 64, 10, method='icem', rollout='mean')
    assert (cpu.evaluation.every, cpu.evaluation.first, cpu.evaluation.episodes) == (20, 6, 10)


@pytest.mark.parametrize(('task', 'updates', 'noise', 'shift'), [
    ('finger_spin', 300, 0.1, 0), ('cartpole_balance', 300, 0.1, 0), ('cup_catch', 300, 0.3, 0),
    ('reacher_easy', 100, 0.1, 2), ('walker_walk', 100, 0.1, 0), ('all', 100, 0.1, 0), ('', 100, 0.1, 0),
    ('finger_spin,walker_walk', 100, 0.1, 0), ('finger_spin,cup_catch', 300, 0.1, 0),
    ('cup_catch,ball_in_cup_catch', 300, 0.3, 0), ('reacher_easy,cup_catch', 100, 0.1, 0),
    ('gymnasium:Pendulum-v1', 100, 0.1, 0)])
def test_cpu_leaves_some_settings_to_the_task(task, updates, noise, shift):
    def values(settings):
        return settings.collector.collect_interval, settings.collector.noise, settings.learner.image_shift

    cpu = config.preset('cpu')
    assert values(cpu) == (None, None, None)
    assert values(cpu.resolve(task)) == (updates, noise, shift)
    given = dataclasses.replace(cpu, collector=dataclasses.replace(cpu.collector, noise=0.7))
    assert values(given.resolve(task)) == (updates, 0.7, shift)
    given = dataclasses.replace(cpu, learner=dataclasses.replace(cpu.learner, image_shift=1))
    assert values(given.resolve(task)) == (updates, noise, 1)
    assert values(config.preset('planet').resolve(task)) == (100, 0.3, 0)


def test_tasks_with_settings_of_their_own_exist():
    from planet_jax import envs
    assert all(envs.resolve(name).name == name for _, others in config.groups.TASK_OWN.values() for name in others)


def test_debug_learns_twice_and_evaluates_planned_episodes():
    debug, episodes = config.preset('debug'), config.PRESET_EPISODES['debug']
    assert debug.env.observation == 'pixels' and debug.env.quality == 'fast'
    assert episodes - debug.collector.seed_episodes >= 2
    assert 0 < debug.evaluation.every <= episodes
    assert debug.planner.iterations >= 2 and debug.planner.elites < debug.planner.candidates


def test_every_preset_says_how_many_episodes():
    assert set(config.PRESET_EPISODES) == set(config.PRESETS)
    for name, episodes in config.PRESET_EPISODES.items():
        assert episodes > config.preset(name).collector.seed_episodes


# Its documentation.


def test_every_field_is_documented():
    # No tool checks strings after fields, and the command line shows them as its help.
    found = set()
    sources = [Path(config.groups.__file__).with_name(f'{name}.py') for name in ('groups', 'model', 'planner')]
    for group in [group for source in sources for group in ast.parse(source.read_text()).body]:
        if isinstance(group, ast.ClassDef) and group.name in {settings.__name__ for settings in GROUPS.values()}:
            assert ast.get_docstring(group), group.name
            for statement, follower in zip(group.body, group.body[1:] + [None]):
                if isinstance(statement, ast.AnnAssign):
                    name = f'{group.name}.{statement.target.id}'
                    found.add(name)
                    assert isinstance(follower, ast.Expr) and isinstance(follower.value.value, str), name
                    assert follower.value.value.strip(), name
    # The evaluation's planner has the fields of the planner, and so their texts.
    assert found == {f'{settings.__name__}.{field.name}' for settings in GROUPS.values()
                     for field in dataclasses.fields(settings) if settings is not EvaluationPlanner}


def test_every_entry_of_a_spec_is_documented():
    for name in config.Spec._fields:
        assert f'{name}: ' in config.Spec.__doc__
