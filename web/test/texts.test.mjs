import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';

import { alignWords, firstPass, fromSpeech, isHubId } from '../dist/index.js';
import { toList, toLists, toWholeList } from '../dist/lists.js';

/** Cases that the core is tested against as well. */
const shared = (name) => JSON.parse(readFileSync(new URL(`../../tests/shared/${name}`, import.meta.url), 'utf8'));

/** Results like those of browsers: not arrays, with only numbers as enumerable keys. */
class StandInResult {
  constructor(isFinal, alternatives) {
    this.isFinal = isFinal;
    Object.defineProperty(this, 'length', { value: alternatives.length });
    alternatives.forEach((alternative, at) => Object.defineProperty(this, at, { value: alternative }));
  }
  item(at) {
    return this[at];
  }
}
const speech = new StandInResult(true, [
  { transcript: ' turn of the light', confidence: 0.8 },
  { transcript: 'turn off the light', confidence: 0 },
  { transcript: 'turn off the lights', confidence: 0.5 },
]);

test("a recogniser's result is an N-best list, and confidence 0 means no score", () => {
  assert.deepEqual(fromSpeech(speech), [
    { text: 'turn of the light', score: Math.log(0.8) },
    { text: 'turn off the light' },
    { text: 'turn off the lights', score: Math.log(0.5) },
  ]);
  assert.deepEqual(toList(speech, 2), { id: 'list-3', nbest: fromSpeech(speech) });
});

test("the result objects of recognisers are lists, with the core's scores", () => {
  const cases = shared('results.json');
  assert.ok(cases.length > 5);
  for (const { name, result, nbest } of cases) {
    assert.deepEqual(toList(result, 0), { id: 'list-1', nbest }, name);
    assert.deepEqual(toWholeList({ ...result, id: 'u', ref: 'a' }, 0), { id: 'u', ref: 'a', nbest }, name);
  }
  // What the recogniser on the device reports.
  const certain = Object.assign([{ transcript: 'a', confidence: 1 }], { isFinal: true });
  assert.deepEqual(toList(Object.assign(Object.create({ item() {} }), certain, { length: 1 }), 0).nbest, [{ text: 'a' }]);
});

test('lists come as texts, hypotheses or utterances', () => {
  const nbest = [{ text: 'a' }, { text: 'b', score: -1 }];
  assert.deepEqual(toList(['a', { text: 'b', score: -1, more: 1 }], 0), { id: 'list-1', nbest });
  assert.deepEqual(toList({ id: 'u', ref: 'a', nbest: ['a', { text: 'b', score: -1 }] }, 0), { id: 'u', ref: 'a', nbest });
  assert.deepEqual(toLists([['a'], { nbest: ['b'] }], 'train').map(({ id }) => id), ['list-1', 'list-2']);
  const whole = { id: 'u', site: 'x', nbest: [{ text: 'a', lm: -2 }, 'b'] };
  assert.deepEqual(toWholeList(whole, 0), { ...whole, nbest: [{ text: 'a', lm: -2 }, { text: 'b' }] });
});

test('invalid lists are rejected by name', () => {
  const bad = [
    [undefined, /utterance "list-1": expected/],
    [{}, /utterance "list-1": expected/],
    [{ id: 'u6' }, /utterance "u6": expected/],
    ['a text', /utterance "list-1": expected/],
    [[{ txt: 'a' }], /utterance "list-1", hypothesis 1: has no text/],
    [{ id: 'u7', nbest: [{ text: 'a' }, { text: 'b', score: NaN }] }, /utterance "u7", hypothesis 2: the score is NaN/],
    [[{ text: 'a', score: '-1' }], /hypothesis 1: the score/],
  ];
  for (const [list, message] of bad) assert.throws(() => toList(list, 0), (error) => error.name === 'BadInputError' && message.test(error.message));
  assert.throws(() => toLists({ nbest: [] }, 'train'), /train: expected an array/);
});

test('the first pass orders as in the core', () => {
  for (const { name, scores = [], parts = [], order, first } of shared('first_pass.json')) {
    const ranked = firstPass(order.map((_, at) => ({ text: 'a', score: scores[at], ...parts[at] })));
    assert.deepEqual(ranked.map(({ index }) => index), order, name);
    assert.deepEqual(ranked.map(({ score }) => score), first, name);
    assert.deepEqual(ranked.map(({ rank, lm, truncated }) => [rank, lm, truncated]), order.map((_, at) => [at + 1, null, false]));
  }
  assert.deepEqual(firstPass(['a', 'b']).map(({ text, first }) => [text, first]), [['a', null], ['b', null]]);
});

test('a hub id is a name, or an owner and a name', () => {
  for (const id of ['bert-base-uncased', 'owner/tiny.v2', 'a/b_c']) assert.ok(isHubId(id), id);
  for (const id of ['', './folder', '/folder', '../up', 'a/b/c', 'https://x/y', 'no id!', 'a/', '.hidden/x']) assert.ok(!isHubId(id), id);
});

test('words are aligned as in the core', () => {
  const cases = shared('alignments.json');
  assert.ok(cases.length > 5);
  for (const { ref, hyp, steps } of cases) assert.deepEqual(alignWords(ref, hyp), steps, `${ref} | ${hyp}`);
});

test('alignments have the fewest errors', () => {
  const ops = (ref, hyp) => alignWords(ref, hyp).map(({ op }) => op[0]).join('');
  assert.equal(ops('turn off the light', 'turn of the light'), 'esee');
  assert.equal(ops('', ''), '');
  assert.equal(ops('a b', ''), 'dd');
  assert.equal(ops(' ', 'a b'), 'ii');
  assert.equal(ops('set a timer for ten minutes', 'set timer for then minutes please'), 'edeesei');
  assert.deepEqual(alignWords('a b', 'a c'), [
    { op: 'equal', ref: 'a', hyp: 'a' },
    { op: 'substitute', ref: 'b', hyp: 'c' },
  ]);
});
