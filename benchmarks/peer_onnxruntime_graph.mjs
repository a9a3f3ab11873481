// Writes ONNX models: the messages of onnx.proto (IR version 10, operators of version 20) in the wire format of
// protocol buffers. A message is a list of buffers, joined at the end.

function varint(value) {
  const bytes = [];
  let v = BigInt.asUintN(64, BigInt(value));
  for (; v > 127n; v >>= 7n) bytes.push(Number(v & 127n) | 128);
  bytes.push(Number(v));
  return Buffer.from(bytes);
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
function real(field, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(field << 3 | 5), bytes]);
}
/// A string, bytes, or a message (a list of buffers).
function nested(field, content) {
  const parts = (Array.isArray(content) ? content : [Buffer.from(content)]).flat(Infinity);
  return [varint(field << 3 | 2), varint(parts.reduce((sum, part) => sum + part.length, 0)), ...parts];
}

const FLOAT = 1, INT64 = 7;
const bytesOf = array => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/// TensorProto
const tensor = (name, dims, type, values) =>
  [...dims.map(d => number(1, d)), number(2, type), nested(8, name), nested(9, bytesOf(values))];

/// AttributeProto: a list of integers, an integer, or a number with a fraction.
function attribute(name, value) {
  if (Array.isArray(value)) return [nested(1, name), ...value.map(v => number(8, v)), number(20, 7)];
  if (Number.isInteger(value)) return [nested(1, name), number(3, value), number(20, 2)];
  return [nested(1, name), real(2, value), number(20, 1)];
}

/// ValueInfoProto
const value = (name, type, dims) =>
  [nested(1, name), nested(2, nested(1, [number(1, type), nested(2, dims.map(d => nested(1, [number(1, d)])))]))];

export class Graph {
  nodes = [];
  initializers = [];

  constant(name, dims, values) {
    this.initializers.push(nested(5, tensor(name, dims, FLOAT, values)));
    return name;
  }
  integers(name, values) {
    this.initializers.push(nested(5, tensor(name, [values.length], INT64, BigInt64Array.from(values.map(BigInt)))));
    return name;
  }
  /// Adds an operator and returns the name of what it gives.
  node(type, inputs, attributes = {}, output = `y${this.nodes.length}`) {
    this.nodes.push(nested(1, [...inputs.map(x => nested(1, x)), nested(2, output), nested(4, type),
      ...Object.entries(attributes).map(([name, v]) => nested(5, attribute(name, v)))]));
    return output;
  }
  /// The bytes of the ModelProto. What is called `result` in the graph is its output.
  model(feeds, result) {
    this.node('Identity', [result], {}, 'result');
    const inputs = Object.entries(feeds).map(([name, {data, dims}]) =>
      nested(11, value(name, data instanceof BigInt64Array ? INT64 : FLOAT, dims)));
    const outputs = nested(12, [nested(1, 'result'), nested(2, nested(1, [number(1, FLOAT)]))]);
    const graph = [...this.nodes, nested(2, 'work'), ...this.initializers, ...inputs, outputs];
    return Buffer.concat([number(1, 10), nested(8, [number(2, 20)]), nested(7, graph)].flat(Infinity));
  }
}
