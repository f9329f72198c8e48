"""The texts and N-best lists of the golden files, and the vocabulary of the tiny base. All of it was written for LoRB."""

WORDS = """the a an to in on at of and or for with from is are was it this that my your me you we please turn off lights light
kitchen bedroom living room hall set timer alarm minutes minute hours hour ten two three five seven morning evening
tonight tomorrow today play music song some stop next call send message tell mother brother doctor that late will be
home soon weather rain sun cold warm what how when where open close window door garage temperature degrees lower raise
add milk bread apples eggs shopping list remind water plants dog feed train leaves station ticket buy new read book
wait there here no yes not bit little too two four eight write right night knight hear sea see meat meet sail sale"""
SUFFIXES = "##s ##ed ##ing ##er ##ly ##ty ##ight ##at ##en ##on"
PUNCTUATION = ". , ? ! ' - : ; ( ) % & /"


def vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PUNCTUATION.split(), *"0123456789", *letters,
              *("##" + c for c in letters), *SUFFIXES.split(), *WORDS.split()]
    return list(dict.fromkeys(pieces))


def texts(limit):
    """Texts to encode; `limit` is the base's position limit, which two of them reach or exceed."""
    words = [w for w in WORDS.split() if len(w) > 1]
    long = [words[(7 * i) % len(words)] for i in range(limit + 40)]
    return [
        "", "a", "turn off the lights", "turn off the light", "turn off the lights",
        "please set a timer for ten minutes", "Remind ME to water the plants, tomorrow morning!",
        "what's the weather like? is it cold -- or warm...", "   spaces\tand\nlines   everywhere  ",
        "Zürich café naïve Ångström Łódź", "cafe\u0301 with a combining accent", "東京 weather 今日 is warm",
        "emoji 🎵 play 🎶 music", "zero\u200bwidth and no\u00a0break", "control\u0007 and \ufffd replacement",
        "[CLS] typed by hand [SEP] and [MASK]", "7:45 a.m., 3/4 cups & 20% (really)", "i.e. e.g. U.S.A. it's we'll don't",
        "supercalifragilisticexpialidocious", "x" * 120 + " end", "ПРИВЕТ мир turn on the music",
        "the train leaves at ten to seven from the new station and we will be home late tonight so please feed the dog",
        " ".join(long), " ".join(long[: limit - 2]),
    ]


def lists():
    """Six lists of 1 to 7 hypotheses: repeats within and across lists, an empty hypothesis, one list without scores,
    and two (single hypothesis, equal errors) that training skips."""
    def utterance(id, ref, *hyps):
        return {"id": id, "ref": ref, "nbest": [{"text": t} if s is None else {"text": t, "score": s} for t, s in hyps]}
    return [
        utterance("g1", "turn off the lights in the kitchen",
                  ("turn of the light in the kitchen", -6.25), ("turn off the lights in the kitchen", -6.5),
                  ("turn off the light in the kitchen", -6.75), ("turn of the light in the kitchen", -7.0),
                  ("turn the lights in a kitchen please", -7.5), ("", -9.0), ("turn off the lights in the hall", -8.125)),
        utterance("g2", "set a timer for ten minutes", ("set a timer for ten minute", -3.5)),
        utterance("g3", "remind me to water the plants tomorrow",
                  ("remind me two water the plants tomorrow", -11.0), ("remind me to water the plant tomorrow", -11.25),
                  ("remind me to water the plants tomorrow", -11.5), ("remind me too water plants", -12.0),
                  ("turn off the light in the kitchen", -14.5)),
        utterance("g4", "what is the weather today",
                  ("what is the weather to day", -5.0), ("what was a weather today", -5.5),
                  ("what the whether today", -5.75), ("what is weather day", -6.0)),
        utterance("g5", "i will be late tonight wait for me at the station",
                  ("i will be late to night wait for me at the station", None),
                  ("i will be late tonight wait for me at the station", None),
                  ("i will be late tonight weight for me at a station", None),
                  ("we will be late tonight wait for me at the station", None),
                  ("i will be late tonight wait for me at the station", None), ("i'll be late", None)),
        utterance("g6", "play some music", ("play sum music", -2.0), ("play some music", -2.25), ("place a music", -2.5)),
    ]
