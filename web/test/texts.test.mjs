import assert from 'node:assert/strict';
import { test } from 'node:test';

import { alignWords, fromSpeech } from '../dist/index.js';
import { toList, toLists } from '../dist/lists.js';

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

test("a recogniser's result is an N-best list, and confidence 0 is no score", () => {
  assert.deepEqual(fromSpeech(speech), [
    { text: 'turn of the light', score: Math.log(0.8) },
    { text: 'turn off the light' },
    { text: 'turn off the lights', score: Math.log(0.5) },
  ]);
  assert.deepEqual(toList(speech, 2), { id: 'list-3', nbest: fromSpeech(speech) });
});

test('lists come as texts, hypotheses or utterances', () => {
  const nbest = [{ text: 'a' }, { text: 'b', score: -1 }];
  assert.deepEqual(toList(['a', { text: 'b', score: -1, more: 1 }], 0), { id: 'list-1', nbest });
  assert.deepEqual(toList({ id: 'u', ref: 'a', nbest: ['a', { text: 'b', score: -1 }] }, 0), { id: 'u', ref: 'a', nbest });
  assert.deepEqual(toLists([['a'], { nbest: ['b'] }], 'train').map(({ id }) => id), ['list-1', 'list-2']);
});

test('invalid lists are rejected by name', () => {
  const bad = [
    [undefined, /list-1: expected/],
    [{}, /list-1: expected/],
    ['a text', /list-1: expected/],
    [[{ txt: 'a' }], /list-1: hypothesis 1 has no text/],
    [{ id: 'u7', nbest: [{ text: 'a' }, { text: 'b', score: NaN }] }, /u7: the score of hypothesis 2 is NaN/],
    [[{ text: 'a', score: '-1' }], /score of hypothesis 1/],
  ];
  for (const [list, message] of bad) assert.throws(() => toList(list, 0), (error) => error.name === 'BadInputError' && message.test(error.message));
  assert.throws(() => toLists({ nbest: [] }, 'train'), /train: expected an array/);
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
