"""The words that the generated suite and its pre-training texts share."""

ANIMALS = tuple(
    "ant bat bear bee bird camel cat cow deer dog duck eagle fox frog"
    " goat goose hen horse lion monkey mouse owl parrot pig rabbit rat seal"
    " shark sheep snake spider swan tiger turtle whale wolf worm zebra".split()
)
FOODS = tuple(
    "apple bean bread butter cake carrot cheese cherry egg grape honey jam lemon"
    " melon milk noodle nut onion pasta peach pear pie plum potato rice salad"
    " soup sugar toast tomato".split()
)
CLOTHES = tuple(
    "belt boot cap cloak coat dress glove hat hood jacket robe sandal scarf"
    " shirt shoe skirt sock suit sweater vest".split()
)
OBJECTS = tuple(
    "bag ball bell bike book bottle bowl box brush candle card chair clock cup"
    " desk drum fork key kite knife lamp mirror pen phone plate spoon stamp"
    " table ticket".split()
)
COLOURS = tuple(
    "black blue brown gold green grey pink purple red silver white yellow".split()
)
INDOORS = tuple(
    "attic bank cellar hall hotel kitchen library museum office school shop"
    " theatre".split()
)
OUTDOORS = tuple(
    "beach desert farm field forest garden hill island lake meadow park"
    " river".split()
)
LOCATIONS = INDOORS + OUTDOORS
NAMES = tuple(
    "Amy Ann Ben Bob Dan Eva Fay Gus Ida Ian Jim Kim Lea Leo Max Mia Nora Paul"
    " Rob Ron Sam Sue Tim Tom Una Zoe".split()
)
# (he, they, yesterday) forms.
VERBS = tuple(
    tuple(forms.split("/"))
    for forms in (
        "cooks/cook/cooked dances/dance/danced draws/draw/drew"
        " eats/eat/ate falls/fall/fell jumps/jump/jumped laughs/laugh/laughed"
        " looks/look/looked paints/paint/painted plays/play/played"
        " rests/rest/rested rides/ride/rode runs/run/ran sings/sing/sang"
        " sits/sit/sat sleeps/sleep/slept smiles/smile/smiled"
        " stands/stand/stood swims/swim/swam talks/talk/talked"
        " waits/wait/waited walks/walk/walked works/work/worked"
        " writes/write/wrote"
    ).split()
)
OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in (
        "bad/good big/small clean/dirty cold/hot cool/warm dry/wet"
        " fast/slow happy/sad hard/soft heavy/light long/short loud/quiet new/old"
        " poor/rich safe/dangerous strong/weak tame/wild thick/thin"
        " wide/narrow cheap/costly".split()
    )
)
OPPOSITE = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}
ADJECTIVES = tuple(sorted(OPPOSITE))
# Verbs of a good and of a bad event.
GOOD = tuple("enjoyed found got kept liked loved won".split())
BAD = tuple("broke dropped feared hated lost missed ruined".split())

# What each class of nouns is called, and its nouns.
KINDS = {
    "animal": ANIMALS,
    "food": FOODS,
    "place": LOCATIONS,
    "garment": CLOTHES,
    "colour": COLOURS,
}
# Nouns that there can be one or many of.
NOUNS = ANIMALS + CLOTHES + OBJECTS
_PLURALS = {
    "box": "boxes",
    "brush": "brushes",
    "deer": "deer",
    "dress": "dresses",
    "goose": "geese",
    "knife": "knives",
    "mouse": "mice",
    "scarf": "scarves",
    "sheep": "sheep",
    "wolf": "wolves",
}


def plural(noun: str) -> str:
  """Returns the noun in the plural."""
  return _PLURALS.get(noun, noun + "s")


def article(word: str) -> str:
  """Returns the word with "a" or "an" before it."""
  return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


# Every word, each once, in a fixed sequence.
WORDS = tuple(
    dict.fromkeys(
        [
            *(
                ANIMALS
                + FOODS
                + CLOTHES
                + OBJECTS
                + COLOURS
                + LOCATIONS
                + ADJECTIVES
            ),
            *map(plural, NOUNS),
            *(form for forms in VERBS for form in forms),
            *(name.lower() for name in NAMES),
        ]
    )
)
