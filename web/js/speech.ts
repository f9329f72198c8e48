/** N-best lists from the Web Speech API. */

import type { Hypothesis, SpeechAlternative, SpeechResult } from './types.js';

/**
 * The alternatives of a `SpeechRecognitionResult` as hypotheses. The score is the logarithm of a
 * confidence in (0, 1]. Browsers report 0 if they have no confidence, usually for all but the first
 * alternative; such a hypothesis has no score. Recognisers on the device report 1 for everything,
 * which is not a score either.
 */
export function fromSpeech(result: SpeechResult): Hypothesis[] {
  return fromAlternatives(Array.from({ length: result.length }, (_, at) => result[at]!));
}

/** @internal */
export function fromAlternatives(alternatives: readonly SpeechAlternative[]): Hypothesis[] {
  const known = (confidence: number | undefined): confidence is number => confidence !== undefined && confidence > 0 && confidence <= 1;
  const certain = alternatives.every(({ confidence }) => !known(confidence) || confidence === 1);
  return alternatives.map(({ transcript, confidence }) => {
    // Chrome starts the later results of an utterance with a space.
    const text = transcript.trim();
    return known(confidence) && !certain ? { text, score: Math.log(confidence) } : { text };
  });
}

/** A real result is not an array: it has a length and numbered alternatives. */
export function isSpeechResult(value: unknown): value is SpeechResult {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { length, 0: first } = value as Partial<SpeechResult>;
  return typeof length === 'number' && length > 0 && typeof first?.transcript === 'string';
}
