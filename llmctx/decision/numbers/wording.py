"""Wording: small words that say how a number is meant, and what it is said of."""

NEAR = frozenset("about around roughly approximately approx nearly almost near circa ~ \u2248".split())
"""The number after them is not exact."""
BEYOND = frozenset(
    "above below over under beyond exceeds exceed exceeding past through than crosses cross crossed falls drops "
    "rises reclaims loses toward towards back < > \u2264 \u2265".split()
)
"""The number after them is a mark to be passed."""
CONNECTS = NEAR | frozenset(
    "at of is was are were the a an its it's stands sits sat stood now currently only just still already has have "
    "with reading reads read value level levels price prices printing prints printed shows showing registers "
    "remains being lies located set placed by very holding hovering trading to from in on also line indicator "
    "index score count figure ratio comes came today = : | ( @ / equals per band bands".split()
)
"""They may stand between a number and what it is said of."""
MOVES = frozenset(
    "move moved moves moving raise raised raises raising trail trailed trailing tighten tightened tightening lift "
    "lifted lifting lower lowering adjust adjusted adjusting shift shifted shifting set setting bring bringing "
    "lock locking new proposed propose proposing widen widening ratchet ratcheting advance".split()
)
"""A stop or target is to be moved."""
RULING = frozenset(
    "require requires required requiring need needs needed demand demands want wants trigger triggers triggered".split()
)
"""The number after them is a rule, no fact."""
RULES = frozenset(
    "rule limit limits threshold thresholds cutoff cap budget max maximum min minimum tolerance convention floor "
    "policy usual round fee fees slippage commission commissions assumption".split()
)
"""The number beside them is a rule, no fact."""
THRESHOLDS = frozenset("threshold cutoff hurdle bar trigger".split())
"""What they are is a rule, whatever it is a threshold of."""
COMPARES = frozenset("sub above below over under beyond exceeds exceed exceeding least most than".split())
"""A short number right after them is a mark that somebody sets."""
ASSUMED = frozenset(
    "probability probabilities chance chances odds likelihood likely assign bayesian scenario weight weights "
    "weighted grade urgency scale rating kelly edge guess maybe expect usually normally typically generally "
    "always never ignore ignored ignores thumb noise historically rather fees fee slippage haircut rule rules "
    "policy discipline max maximum minimum limit expected ev invalidation invalidated".split()
)
"""A short number in their sentence is an estimate or a habit."""
DATED = frozenset(
    "news headline headlines signal signals data quote quotes bar tick decision decided call verdict thesis".split()
)
"""What has an age of its own, besides the position."""
COSTS = frozenset("fee fees slippage commission commissions assumption noise".split())
"""A few cents in their sentence are an assumption."""
ESTIMATES = frozenset("probability probabilities chance chances odds likelihood likely weight weights weighted".split())
"""The number beside them is one of its own."""
MARKS = frozenset("> < \u2264 \u2265".split())
"""The same, as signs."""
SUPPOSING = frozenset("would could will should i'd i'll we'd we'll it'd 'd".split())
"""What is counted after them is supposed."""
MORE = frozenset("better more higher above less lower worse below beyond over under".split())
"""Or more: the number before it is a mark."""
CONTENTLESS = frozenset({"last", "apart"})
"""Topics that do not say what a sentence is about."""
CONDITIONS = frozenset("if when unless until once should start starts begin begins another".split())
"""A short number in their clause is one that may come."""
RETRACEMENTS = frozenset("retracement retrace fib fibonacci retracements pullback".split())
"""The percentage beside them names a level."""
LIMITS = frozenset("within least most than under over".split())
"""The number after them is a limit."""
JOINS = frozenset("to and or / - .. \u2013 through between +".split())
"""They stand between the two ends of a range."""
TRADES = frozenset(
    "reduce reducing reduces trim trimming trims close closing sell selling scale scaling take taking bank "
    "banking cut cutting add adding adds buy buying cover covering".split()
)
"""The number of shares beside them is one to be traded."""
PARTIAL = TRADES | {"size", "sizing", "half", "exposure"}
"""The number beside them is a part of the position to be traded."""
ZONES = frozenset(
    "overbought oversold neutral midline threshold territory zone extreme extremes band boundary line mark".split()
)
"""A round number beside them is a zone of an indicator."""
EXTREMES = frozenset("extreme extremes overbought oversold threshold thresholds".split())
"""The same, whatever the indicator."""
ADJECTIVES = frozenset(
    "open active closed live good bad losing winning running current recent latest new bullish bearish positive "
    "negative fresh".split()
)
"""They may stand between a count and what it counts."""
COUNTED = frozenset(
    {"news", "quantity", "positions", "symbols", "wins", "losses", "trades", "advancing", "declining", "unchanged"}
)
"""Topics that are counted."""
SUPPOSED = frozenset(
    "if should until till once when unless would could might may can must reach reaches hit hits were signal "
    "entry another next order limit above below".split()
)
"""The price after them is one that may come."""
APART = frozenset(
    "below above from to under over off short shy away beneath beyond until before toward towards than between "
    "higher lower down up more less of versus vs against".split()
)
"""Words of distance."""
FILLS = frozenset(
    "of the its our my a an this today's day's session session's intraday current per share points point pts "
    "dollars fill hit reach trigger left remaining remain remains still and is only away lies sits upper lower "
    "higher".split()
)
"""They may stand between a distance and what it is measured from."""
GAINS = frozenset("gain gains gained profit profits made up".split())
"""The number beside them is a gain."""
LOSSES = frozenset("loss losses lost losing underwater down".split())
"""The number beside them is a loss."""
ROOM = frozenset("room headroom runway until".split())
"""A round number after them is a zone that a reading is still away from."""
TRAILS = frozenset(
    "trail trailing tighten tightening raise raising widen widening ratchet ratcheting lift lifting".split()
)
"""The step after them is one by which a stop or target may be moved."""
ANY = frozenset("a an any another every each".split())
"""A step after them is one that may come."""
SWINGS = frozenset(
    "move moves swing drop dip fall rise rally spike shock gap slide adverse further additional favorable "
    "favourable sudden".split()
)
"""What may come is as large as the round number beside them."""
PAST = frozenset("was were had then".split())
"""They speak of the decision before."""
QUOTES = frozenset("mark spot px".split())
"""The number right after them is the price as it is."""
PRICE = frozenset("price last quote trading trades traded".split())
"""The number after them is the price as it is."""
SIDES = (
    dict.fromkeys(("up", "green", "higher"), "advancing")
    | dict.fromkeys(("down", "red", "lower"), "declining")
    | {"w": "wins", "l": "losses"}
)
"""A whole number before them counts stocks."""
PARTS_OF_MARKET = {"green": "advancing", "rising": "advancing", "red": "declining", "falling": "declining"}
"""A share before them is one of the market."""
SIDES |= PARTS_OF_MARKET
PRONOUNS = frozenset("they these those both".split())
"""They speak of what the sentence before was about."""
BEING = frozenset("are is were was".split())
SET_AGAINST = frozenset(": / to vs against - \u2013".split())
"""They stand between two counts."""
TURNS = frozenset("up down higher lower gains gained adds added loses lost falls fell rises rose growth grew".split())
"""They may stand between a percentage and what it is said of."""
COUNTS = frozenset(": = so far count counts is are was were number".split())
"""They alone may stand between what is counted and its count."""
DISTANCES = frozenset({"points", "point", "pts", "units", "ticks"})
"""The number before them is a distance."""
ARTICLES = frozenset({"a", "an", "the", "our", "my", "its", "your", "current", "new"})
"""A number after them belongs to the noun that follows."""
