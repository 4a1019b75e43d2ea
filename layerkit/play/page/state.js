// The state, as the page changes it.

export const copy = value => structuredClone(value);

// The layers of a row; null of another network.
export const bodyLayers = state => state.network.body?.type === "Sequential" ? state.network.body.layers : null;
export const addressOf = index => `body.layers.${index}`;
export const indexOf = address => Number(address.split(".")[2]);

// From another seed, and not with the weights of a run, whose test examples would be others.
export function anew(state, seed) {
  state.training.seed = seed;
  delete state.training.warm_start;
}

// Another state in the place of this one.
export function replace(state, other) {
  for (const key of Object.keys(state)) delete state[key];
  Object.assign(state, other);
}
