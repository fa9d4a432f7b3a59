"""Twenty short examples of each source, in the parts that it gives."""

import itertools

from zsgen.core import config
from zsgen.data import suite
from zsgen.data.sources import synth

# Task: definition, (question, answer) pairs shown, wrong one, instances.
_NIV2 = {
    "task001_capital": (
        "Name the capital of the country",
        [("France", "Paris", ""), ("Japan", "Tokyo", "It is its seat.")],
        ("Spain", "Spanish", "That is a language."),
        [
            ("Italy", "Rome"),
            ("Peru.", "Lima"),
            ("Norway", "Oslo"),
            ("Österreich", "Wien|Vienna"),
            (" Egypt ", "Cairo"),
        ],
    ),
    "task002_sentiment": (
        "Is the review kind? Answer yes or no.",
        [("I loved it!", "yes", "Love is kind."), ("Dull", "no", "")],
        ("Fine.", "good", "Only yes or no are answers"),
        [
            ("A joy to read", "yes"),
            ("It broke on day two.", "no"),
            ("“Never again”", "no"),
            ("Warm, light, cheap", "yes"),
            ("Meh?", "no"),
        ],
    ),
    "task003_count": (
        "Count the words.\nWrite a number.",
        [("a b c", "3", "")],
        None,
        [
            ("one two", "2"),
            ("word", "1"),
            ("is it so?", "3"),
            ("line one\nline two", "4"),
            ("猫 と 犬", "3"),
        ],
    ),
    "task004_continue": (
        "Say what happens next:",
        [],
        None,
        [
            ("The kettle whistles", "She makes tea.|Tea is made."),
            ("Rain starts to fall", "We open an umbrella."),
            ("The bell rings", "Lessons end"),
            ("He drops the cup", "It breaks!"),
            ("Snow melts", "The river rises."),
        ],
    ),
}
_FLAN = """
task012_sum|Add the numbers: 2, 3|5
task012_sum|Add the numbers: 10, 4|14
task075_squad|What color is the sky?\\n\\nThe sky is blue.|blue
task075_squad|Who sings?\\n\\nAnna sings, Ben listens.|Anna
anli/r1:0.1.0|A man runs. Does he move?\\nOPTIONS:\\n- yes\\n- no|yes
anli/r1:0.1.0|It is dark. Is it noon?\\nOPTIONS:\\n- yes\\n- no|no
wmt16|Translate to German: good day|guten Tag
wmt16|Translate to German: thank you|danke
task190_nli|Sentence 1: He eats. Sentence 2: He fasts.|contradiction
task190_nli|Sentence 1: He eats. Sentence 2: He lives.|entailment
code_alpaca|Write Python that prints one.|print(1)
code_alpaca|Write a loop over x.|for each in x:\\n  print(each)
sharegpt|Tell a joke|Why did the hen cross? To cross.
alpaca_gpt4|List two fruits|1. Apple\\n2. Pear
alpaca_gpt4|Spell cat|C-A-T
quarel|Which is faster, a car or a snail?|a car
quarel|Which is colder, ice or tea?|ice
task900_topic|q: Who wrote Emma?|books
task900_topic|q: How long is a mile?|units
cot_gsm8k|Two boxes of 3 eggs: how many?|2 times 3 is 6. So the answer is 6.
"""
_P3 = """
ag_news_classify|Stocks rose today. World, Sports or Business?|Business
ag_news_classify|The final ended 2-1. World, Sports or Business?|Sports
cos_e_question|Where is milk kept? fridge, oven|fridge
cos_e_question|What flies? a bird, a stone|a bird
common_gen_put|Put together: dog, run, park|A dog runs in the park.
common_gen_put|Put together: sun, sea|The sun sets over the sea.
imdb_review|A waste of time. Was it good?|No
imdb_review|I would watch it twice. Was it good?|Yes
paws_meaning|"He left." "He went." Same?|Yes
paws_meaning|"He left." "He stayed." Same?|No
xsum_title|Summarize: It snowed all day in Oslo.|Snow in Oslo
xsum_title|Summarize: The team won again.|Another win
wiki_qa_answer|Who painted it? "Ana painted it."|Ana
wiki_qa_answer|When? "It was in 1905."|1905
dream_question|A: Tea? B: Please.\\nWhat does B want?|tea
dream_question|A: Late again! B: Sorry.\\nWho is late?|B
rte_implies|Given "All cats sleep", does "Tom the cat sleeps" follow?|yes
rte_implies|Given "It may rain", does "It rains" follow?|no
trec_kind|What is a yak? Person, place or thing?|thing
trec_kind|Who is Ada? Person, place or thing?|person
"""
# A line is a conversation; it begins with a user turn, or "system:". Turns of
# one that has "|" in its text are parted by "¦".
_CHAT = """
Hi|Hello!
Name a colour|Blue.
2 + 2?|4
system:Be brief.|What is rain?|Falling water.
Write a haiku|Still pond at daybreak\\na heron lifts from the reeds\\nrings widen, then none
Say nothing|…
Translate: chat|cat
system:You are a pirate.|Greet me|Ahoy, matey!
What is <|im_end|>?¦A token of some chat formats.
Repeat: </s><s>|</s><s>
  spaces around  |  kept or stripped
List a, b as bullets|- a\\n- b
Is 7 prime?|Yes.
system:Answer in French.|Good night|Bonne nuit
Give me JSON|{"a": [1, 2]}
Emoji for happy|🙂
User: who am I?|You.
猫は?|Cat.
Opposite of hot|cold
Stop|.
"""
_CHAT_TURNS = """
Hi|Hello!|How are you?|Well, thanks.
Count|1|Go on|2|Go on|3
system:Be brief.|Why?|Because.|Why so?|It is.
Pick a card|Ace|Another|King
Name a fish|Cod|And a bird?|Wren|And a tree?|Elm|Enough|Good.
2+2|4|Times 3|12
system:You count in Latin.|one|unus|two|duo
Is it late?|Yes.|How late?|Very.
Write x=1|x = 1|Now in a loop|for i in y:\\n  x = 1
Tell a story|Once there was a fox.|Continue|It slept.
What is </s>?¦An end token.¦And <|im_start|>?¦A start token.
Bonjour|Bonjour !|Ça va ?|Très bien.
Red or blue?|Red.|Why?|It is warm.
system:Say only ok.|Hi|ok|Bye|ok
A riddle?|What has keys?|A piano|Right!
Spell dog|d-o-g|Backwards|g-o-d
Where is Oslo?|In Norway.|And Lima?|In Peru.
  Hello  |  Hi  |  Bye  |  See you  
🙂?|🙂|🙃?|🙃
Sort: b a|a b|Reverse|b a
"""


def _niv2():
  for task, (definition, right, wrong, instances) in _NIV2.items():
    shots = [suite.Shot(*shot, positive=True) for shot in right]
    shots += [suite.Shot(*wrong, positive=False)] if wrong else []
    for number, (request, answers) in enumerate(instances):
      yield suite.Example(
          task,
          "invented",
          "train",
          definition,
          request,
          tuple(answers.split("|")),
          f"{task}-{number}",
          tuple(shots),
      )


def _rows(table):
  for key, (task, request, answer) in enumerate(_lines(table)):
    yield suite.Example(task, "", "train", "", request, (answer,), str(key))


def _conversations(table):
  for key, texts in enumerate(_lines(table)):
    turns = []
    if texts[0].startswith("system:"):
      turns.append(suite.Turn("system", texts.pop(0).removeprefix("system:")))
    for role, text in zip(
        itertools.cycle(("user", "assistant")), texts, strict=False
    ):
      turns.append(suite.Turn(role, text))
    yield suite.Example(
        "chat", "", "train", "", "", (), str(key), turns=tuple(turns)
    )


def _lines(table):
  for line in table.strip("\n").split("\n"):
    yield line.replace("\\n", "\n").split("|" if "<|" not in line else "¦")


def _synth():
  synth_suite = synth.synth(config.build(config.Data, train_instances=1), 0)
  return itertools.islice(synth_suite.examples(), 20)


SOURCES = {
    "niv2": _niv2,
    "flan_mini": lambda: _rows(_FLAN),
    "p3": lambda: _rows(_P3),
    "chat": lambda: _conversations(_CHAT),
    "chat_turns": lambda: _conversations(_CHAT_TURNS),
    "synth": _synth,
}
