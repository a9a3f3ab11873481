// The works of works.hpp as ONNX models, with the numbers of numbers.hpp.
import {Graph} from './peer_onnxruntime_graph.mjs';

// --- numbers.hpp -----------------------------------------------------------------------------------------

function mixed(h) {
  h = Math.imul(h ^ (h >>> 16), 0x85EBCA6B);
  h = Math.imul(h ^ (h >>> 13), 0xC2B2AE35);
  return (h ^ (h >>> 16)) >>> 0;
}
function numbers(stream, count, radius, center = 0) {
  const values = new Float32Array(count);
  const start = mixed((Math.imul(stream, 0x9E3779B9) + 1) >>> 0);
  for (let i = 0; i < count; ++i) values[i] = ((mixed((i + start) >>> 0) >>> 8) * 2 ** -23 - 1) * radius + center;
  return values;
}
const input = count => numbers(1 << 20, count, 1);

/// The parameters of a network, array after array, as constants of a graph; without values where `full` is false.
class Parameters {
  constructor(graph, full) {
    this.graph = graph;
    this.full = full;
    this.next = 0;
  }
  add(dims, radius, center = 0) {
    const name = `p${this.next}`;
    const count = dims.reduce((a, b) => a * b, 1);
    if (this.full) this.graph.constant(name, dims, numbers(this.next, count, radius, center));
    ++this.next;
    return name;
  }
  weights(...dims) { return this.add(dims, Math.sqrt(6 / dims.slice(1).reduce((a, b) => a * b, 1))); }
  biases(count) { return this.add([count], 0.1); }
  scales(count) { return this.add([count], 0.5, 1); }
  /// [rows, columns], for look-ups.
  table(columns, rows) {
    const name = `p${this.next}`;
    if (this.full) {
      const from = numbers(this.next, columns * rows, 0.5), to = new Float32Array(columns * rows);
      for (let c = 0; c < columns; ++c) for (let r = 0; r < rows; ++r) to[r * columns + c] = from[c * rows + r];
      this.graph.constant(name, [rows, columns], to);
    }
    ++this.next;
    return name;
  }
}

// --- networks --------------------------------------------------------------------------------------------

function dense(g, p, x, inputs, outputs) {
  return g.node('Gemm', [x, p.weights(outputs, inputs), p.biases(outputs)], {transB: 1});
}

function perceptron(g, p, sizes, activation) {
  let x = 'x';
  for (let i = 0; i + 1 < sizes.length; ++i) {
    x = dense(g, p, x, sizes[i], sizes[i + 1]);
    if (i + 2 < sizes.length) x = g.node(activation, [x]);
  }
  return x;
}

function lenet(g, p) {
  let x = 'x';
  for (const [inputs, outputs] of [[1, 32], [32, 64]]) {
    x = g.node('Relu', [g.node('Conv', [x, p.weights(outputs, inputs, 3, 3), p.biases(outputs)])]);
    x = g.node('MaxPool', [x], {kernel_shape: [2, 2], strides: [2, 2]});
  }
  x = g.node('Relu', [dense(g, p, g.node('Flatten', [x]), 1600, 128)]);
  return g.node('Softmax', [dense(g, p, x, 128, 10)]);
}

function bert(g, p, {layers, hidden, heads, inner}, tokens) {
  const size = hidden / heads;
  const normalized = x =>
    g.node('LayerNormalization', [x, p.scales(hidden), p.biases(hidden)], {axis: -1, epsilon: 1e-12});
  const lookUp = (rows, indices) => g.node('Gather', [p.table(hidden, rows), indices]);
  const apart = g.integers('apart', [tokens, heads, size]), flat = g.integers('flat', [tokens, hidden]);
  const scale = g.constant('scale', [], new Float32Array([1 / Math.sqrt(size)]));
  const words = lookUp(30522, 'ids'), places = lookUp(512, 'positions'), kinds = lookUp(2, 'types');
  let x = normalized(g.node('Add', [g.node('Add', [words, places]), kinds]));
  for (let layer = 0; layer < layers; ++layer) {
    const headsOf = perm => g.node('Transpose', [g.node('Reshape', [dense(g, p, x, hidden, hidden), apart])], {perm});
    const query = headsOf([1, 0, 2]), key = headsOf([1, 2, 0]), value = headsOf([1, 0, 2]);
    const scores = g.node('Add', [g.node('Mul', [g.node('MatMul', [query, key]), scale]), 'mask']);
    const context = g.node('MatMul', [g.node('Softmax', [scores], {axis: -1}), value]);
    const joined = g.node('Reshape', [g.node('Transpose', [context], {perm: [1, 0, 2]}), flat]);
    const attended = normalized(g.node('Add', [dense(g, p, joined, hidden, hidden), x]));
    const thought = dense(g, p, g.node('Gelu', [dense(g, p, attended, hidden, inner)]), inner, hidden);
    x = normalized(g.node('Add', [thought, attended]));
  }
  return x;
}

function convolved(g, p, x, inputs, outputs, kernel, stride = 1, group = 1) {
  const edge = kernel >> 1;
  const y = g.node('Conv', [x, p.weights(outputs, inputs / group, kernel, kernel)],
    {kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [edge, edge, edge, edge], group});
  const gamma = p.scales(outputs), beta = p.biases(outputs), mean = p.biases(outputs), variance = p.scales(outputs);
  return g.node('BatchNormalization', [y, gamma, beta, mean, variance], {epsilon: 1e-5});
}
const imageHead = (g, p, x, channels) =>
  dense(g, p, g.node('Flatten', [g.node('GlobalAveragePool', [x])]), channels, 1000);

function resnet50(g, p) {
  let x = g.node('Relu', [convolved(g, p, 'x', 3, 64, 7, 2)]), inputs = 64;
  x = g.node('MaxPool', [x], {kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1]});
  for (const [channels, blocks, first] of [[64, 3, 1], [128, 4, 2], [256, 6, 2], [512, 3, 2]])
    for (let block = 0; block < blocks; ++block) {
      const stride = block ? 1 : first;
      const shortcut = block ? x : convolved(g, p, x, inputs, 4 * channels, 1, stride);
      let y = g.node('Relu', [convolved(g, p, x, inputs, channels, 1)]);
      y = g.node('Relu', [convolved(g, p, y, channels, channels, 3, stride)]);
      y = convolved(g, p, y, channels, 4 * channels, 1);
      x = g.node('Relu', [g.node('Add', [y, shortcut])]);
      inputs = 4 * channels;
    }
  return imageHead(g, p, x, 2048);
}

function mobilenetv2(g, p) {
  const low = g.constant('zero', [], new Float32Array([0])), high = g.constant('six', [], new Float32Array([6]));
  const clip = x => g.node('Clip', [x, low, high]);
  let x = clip(convolved(g, p, 'x', 3, 32, 3, 2)), inputs = 32;
  for (const [times, channels, blocks, first] of
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]])
    for (let block = 0; block < blocks; ++block) {
      const wide = times * inputs;
      let y = times > 1 ? clip(convolved(g, p, x, inputs, wide, 1)) : x;
      y = clip(convolved(g, p, y, wide, wide, 3, block ? 1 : first, wide));
      y = convolved(g, p, y, wide, channels, 1);
      x = block ? g.node('Add', [y, x]) : y;
      inputs = channels;
    }
  return imageHead(g, p, clip(convolved(g, p, x, 320, 1280, 1)), 1280);
}

// --- works -----------------------------------------------------------------------------------------------

const bertSizes = {
  bert_base: {layers: 12, hidden: 768, heads: 12, inner: 3072},
  bert_tiny: {layers: 2, hidden: 128, heads: 2, inner: 512},
};
bertSizes.load_bert_base = bertSizes.bert_base;

function bertFeeds(tokens) {
  const ids = new BigInt64Array(tokens), types = new BigInt64Array(tokens), positions = new BigInt64Array(tokens);
  const mask = new Float32Array(tokens);
  for (let i = 0; i < tokens; ++i) {
    ids[i] = BigInt(mixed(i + 1) % 30522);
    types[i] = i < (tokens >> 1) ? 0n : 1n;
    positions[i] = BigInt(i);
    mask[i] = i < tokens - (tokens >> 3) ? 0 : -10000;
  }
  const dims = [tokens];
  return {ids: {data: ids, dims}, types: {data: types, dims}, positions: {data: positions, dims},
    mask: {data: mask, dims: [1, 1, tokens]}};
}

/// {model, feeds} of a work, undefined for one that is not known here. `full`: with its parameters.
export function makeModel(name, batch, inputs, outputs, full) {
  const networks = {
    sgemm: [[batch, inputs], (g, p) => g.node('Gemm', ['x', p.weights(outputs, inputs)], {transB: 1})],
    lenet: [[batch, 1, 28, 28], lenet],
    mlp784: [[batch, 784], (g, p) => perceptron(g, p, [784, 256, 128, 10], 'Relu')],
    mlp32_tanh: [[batch, 32], (g, p) => perceptron(g, p, [32, 64, 64, 8], 'Tanh')],
    resnet50: [[batch, 3, 224, 224], resnet50],
    mobilenetv2: [[batch, 3, 224, 224], mobilenetv2],
  };
  const g = new Graph();
  const p = new Parameters(g, full);
  let feeds, result;
  if (bertSizes[name]) {
    feeds = bertFeeds(batch);
    if (full) result = bert(g, p, bertSizes[name], batch);
  } else if (networks[name]) {
    const [dims, build] = networks[name];
    feeds = {x: {data: input(dims.reduce((a, b) => a * b, 1)), dims}};
    if (full) result = build(g, p);
  } else {
    return undefined;
  }
  return {model: full ? g.model(feeds, result) : undefined, feeds};
}
