// ONNX Runtime as a peer of bespoke_bench, see peer_onnxruntime.cpp.
//
// node peer_onnxruntime.mjs FOLDER VERB NAME BATCH INPUTS OUTPUTS THREADS [FILE]
//   FOLDER  holds node_modules/onnxruntime-node
//   VERB    serve: make the model of the work NAME and answer; write: put it into FILE; load: run what is in FILE once
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';
import {writeFileSync, writeSync} from 'node:fs';
import {makeModel} from './peer_onnxruntime_models.mjs';

const [folder, verb, name, ...rest] = process.argv.slice(2);
const [batch, inputs, outputs, threads] = rest.slice(0, 4).map(Number);
const say = text => writeSync(1, text + '\n');

const made = makeModel(name, batch, inputs, outputs, verb !== 'load');
if (!made) {
  say('no');
  process.exit();
}
if (verb === 'write') {
  writeFileSync(rest[4], made.model);
  say('ready');
  process.exit();
}

const ort = createRequire(folder + '/')('onnxruntime-node');
const session = await ort.InferenceSession.create(verb === 'load' ? rest[4] : made.model, {
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
});
const feeds = {};
for (const [key, {data, dims}] of Object.entries(made.feeds))
  feeds[key] = new ort.Tensor(data instanceof BigInt64Array ? 'int64' : 'float32', data, dims);

const run = async () => (await session.run(feeds)).result.data;
const answer = values => {
  say(String(values.length));
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
};

if (verb === 'load') {
  answer(await run());
  process.exit();
}
say('ready');
for await (const line of createInterface({input: process.stdin})) {
  const [word, calls] = line.split(' ');
  if (word === 'run') {
    answer(await run());
  } else {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < Number(calls); ++i) await run();
    say(String(Number(process.hrtime.bigint() - begin) / 1e9));
  }
}
