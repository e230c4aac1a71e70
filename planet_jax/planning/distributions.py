"""The two halves of an iteration: draw candidates from a distribution, and fit it to the best of them."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

FLOOR = 1e-3
"""Smallest standard deviation of a fit, in the unit of the actions."""


def propose(key: jax.Array, mean: jax.Array, std: jax.Array, *, candidates: int, low: Any = -1.0, high: Any = 1.0,
            colour: float = 0.0) -> jax.Array:
    """Draws action sequences and clips them to the bounds (algorithm 2 of the PlaNet paper, line 4).

    Clipped sequences are scored and refitted, as in the released code.

    Args:
        key: a random key.
        mean: [H, A].
        std: [H, A].
        candidates: J.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        colour: of the noise along the horizon, see `coloured`; with 0, steps are independent.

    Returns:
        actions [J, H, A].
    """
    noise = jax.random.normal(key, (candidates, *mean.shape), mean.dtype)
    if colour:
        noise = jnp.einsum('gh,jha->jga', coloured(mean.shape[0], colour), noise)
    return jnp.clip(mean + std * noise, low, high)


def coloured(horizon: int, colour: float) -> np.ndarray:
    """A matrix W that colours white noise: W @ Normal(0, 1) [H] has the power spectrum 1 / f^colour.

    iCEM's noise (Pinneri et al., 2020, section 3.1), whose every step has variance 1; the mean over the horizon has the
    power of the lowest frequency, 1 / H. It is the distribution of a fast Fourier transform with random coefficients,
    written as a matrix, since H is small and all candidates then take one product.

    Args:
        horizon: H.
        colour: exponent, at least 0: 0 white, 1 pink, 2 red.

    Returns:
        W, float32 [H, H].
    """
    amplitude = np.maximum(np.fft.rfftfreq(horizon), 1 / horizon) ** (-colour / 2)
    filter = np.fft.irfft(np.fft.rfft(np.eye(horizon)) * amplitude, horizon)
    return (filter / np.linalg.norm(filter[0])).astype(np.float32)


def best_of(returns: jax.Array, elites: int) -> jax.Array:
    """[K], the indices of the largest returns [J], best first; NaN ranks last."""
    returns = as_returns(returns)
    finite = jnp.maximum(returns, jnp.finfo(returns.dtype).min)
    return jax.lax.top_k(jnp.where(jnp.isnan(returns), -jnp.inf, finite), elites)[1]


def as_returns(returns: Any) -> jax.Array:
    """Returns as floating-point numbers, also from integers and booleans."""
    returns = jnp.asarray(returns)
    return returns if jnp.issubdtype(returns.dtype, jnp.floating) else returns.astype(jnp.float32)


def check_elites(candidates: int, elites: int) -> None:
    """Refuses more elites than candidates."""
    if not 1 <= elites <= candidates:
        raise ValueError(f'There are {candidates} candidates, so elites must be 1 to {candidates}, not {elites}.')


def fit(chosen: jax.Array, std_estimator: Literal['std', 'mean_absolute'] = 'std') -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of the elites [K, H, A], see `refit`."""
    chosen = jnp.asarray(chosen)
    if std_estimator not in ('std', 'mean_absolute'):
        raise ValueError(f"The std_estimator must be 'std' or 'mean_absolute', not {std_estimator!r}.")
    mean = chosen.mean(0)
    if len(chosen) == 1:
        return mean, jnp.full_like(mean, FLOOR)
    if std_estimator == 'std':
        return mean, jnp.sqrt(chosen.var(0) + FLOOR**2)
    return mean, jnp.maximum(jnp.abs(chosen - mean).sum(0) / (len(chosen) - 1), FLOOR)


def refit(actions: jax.Array, returns: jax.Array, *, elites: int,
          std_estimator: Literal['std', 'mean_absolute'] = 'std') -> tuple[jax.Array, jax.Array, jax.Array]:
    """Fits a diagonal Gaussian to the best candidates (algorithm 2 of the PlaNet paper, lines 8 to 11).

    A return of NaN ranks last, after minus infinity. No standard deviation is below 1e-3, not even
    that of a single elite, so the next iteration still searches.

    Args:
        actions: [J, H, A].
        returns: [J].
        elites: K, at most J.
        std_estimator: 'std' is the population standard deviation, sqrt(var + 1e-6) (released code); 'mean_absolute' the
            sum of absolute deviations over K - 1 (the paper), at least 1e-3.

    Returns:
        mean [H, A], standard deviation [H, A] and the elites' returns [K], best first.

    Raises:
        ValueError: there are fewer candidates than elites, or std_estimator is unknown.
    """
    check_elites(actions.shape[0], elites)
    best = best_of(returns, elites)
    return *fit(jnp.asarray(actions)[best], std_estimator), as_returns(returns)[best]
