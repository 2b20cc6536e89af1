"""The words of the tales: lists to choose from.

A word that may follow "a" begins with a consonant, and in a list no word is a prefix of another, so
that the grammar is unambiguous (`npgpt.tales.grammar`). The words are few and mostly short, so that
a small model reads each of them hundreds of times in a minute of training.
"""


words = str.split


def alike(text, **traits):
    """Return the words of a text, each with the same traits."""
    return [(word, traits) for word in text.split()]


HE = {"he": "he", "He": "He", "him": "him", "his": "his"}
SHE = {"he": "she", "He": "She", "him": "her", "his": "her"}
LORDS = alike("King Duke Lord", names="man", mates="lady", **HE)
LADIES = alike("Queen Dame Lady", names="woman", mates="lord", **SHE)

# A woe, its cure, and the list of things for it: it was (tired), so it (slept in) (a bed).
WOES = [
    *alike("tired", cure="slept in", by="bed"),
    *alike("hungry", cure="ate", by="meal"),
    *alike("thirsty", cure="drank", by="drinks"),
    *alike("cold", cure="put on", by="coat"),
    *alike("sad", cure="played with", by="doll"),
    *alike("scared", cure="lit", by="lamp"),
]

WORDS = {
    "lord": LORDS,
    "lady": LADIES,
    "noble": LORDS + LADIES,
    "job": words("cook guard page clerk judge singer baker nurse butler painter"),
    # creatures, singular and plural, and the parts of one to kiss
    "animal": words("""
        cat dog pig cow goat lamb pony calf mule fox wolf bear hare mole lynx deer mouse boar hen
        duck goose swan crow lark wren dove gull robin
    """),
    "animals": words("""
        cats dogs pigs cows goats lambs foxes wolves bears hares moles mice hens ducks crows swans
    """),
    "monster": words("dragon troll ogre ghost giant witch griffin beast"),
    "cheek": words("head cheek chin brow back tail"),
    "mood": words("""
        shy sly kind bold wise meek calm keen good nice vain proud brave busy jolly merry funny
        happy lazy witty moody silly loyal noble gentle polite clever quiet
    """),
    "look": words("""
        big small tiny little lovely pretty fine plain red blue green black white grey pink brown
        golden silver dark pale
    """),
    # reasons to stop: a woe of their own, or a barrier
    "woe": WOES,
    "barrier": [
        *alike("road street lane square", why="street woe"),
        *alike("river stream brook creek", why="river woe"),
        *alike("hill ridge mountain cliff", why="hill woe"),
    ],
    "street woe": WOES + alike("noisy crowded", cure="waited until", by="time"),
    "river woe": WOES + alike("deep wide", cure="built", by="raft"),
    "hill woe": WOES + alike("steep high", cure="took a path by", by="sight"),
    "howled": words("howled roared wept sat growled moaned"),
    "danced": words("danced sang laughed played skipped joked hummed swam rowed"),
    "song": words("song dance game joke rhyme trick"),
    # possessions; food leaves traces
    "thing": words("""
        ring coin key bell drum lamp harp lute cup bowl book map hat shoe kite doll ball rope pen
        gem crown sock boot fork
    """),
    "taste": words("hot warm cold fresh sweet tasty good fine rich spicy"),
    "drink": words("milk tea juice water cider cocoa punch lemonade"),
    "food": [
        *alike("pie cake bread toast buns tarts", trace="crumbs"),
        *alike("plums pears figs grapes melon cherries", trace="juice"),
        *alike("soup stew broth gravy honey jam", trace="drops"),
    ],
    "place": words("""
        mill farm barn lake pond well gate hill cave rock tree bush hedge bench fence tower castle
        church market meadow hut shed tent stone bridge fountain
    """),
    "near": words("near by behind beside"),
    "time": words("dawn dusk noon night Monday Friday Sunday spring summer winter"),
    # Names are spelled letter by letter, {:B}{:a}{:r}{:a}{:r}o: there are too many to memorise. No
    # name with these consonants is a rude word.
    "B": words("B D K L N R S T V Z"),
    "r": words("d l n r s t v"),
    "a": words("a e i o u"),
}
