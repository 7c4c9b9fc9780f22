"""Polish sentences for the demo corpus: an opening, what happened, an ending.

Every fragment belongs to one split, so no two splits share a part of a sentence.
"""

# Fragments 0, 1, 2 of each five are heard in training, 3 and 4 in the other splits.
_REMAINDERS = {"train": (0, 1, 2), "valid": (3,), "test": (4,)}

_OPENINGS = """
Wczoraj wieczorem
W zeszłą niedzielę
Tuż przed burzą
O świcie
Pewnego razu
Po długiej podróży
Zeszłej zimy
Po cichym koncercie
W środku nocy
Zaraz po obiedzie
Na początku września
Ku zdziwieniu wszystkich
W dzień targowy
Pod koniec lata
Przed wyjazdem do miasta
Przed zgaszeniem latarni
Któregoś ranka
W deszczowe popołudnie
Bez słowa wyjaśnienia
Trzy dni później
Podczas przerwy
Po pierwszym śniegu
Jeszcze przed świętami
Ostatnim razem
Mimo późnej pory
"""

_CLAUSES = """
stary zegarmistrz zgubił klucz do piwnicy
moja siostra upiekła szarlotkę z cynamonem
nasz sąsiad naprawiał skrzypiącą furtkę
listonosz przyniósł gruby list z Krakowa
mała dziewczynka karmiła gołębie na rynku
dziadek opowiadał o wyprawie w góry
kapitan kazał zwinąć wszystkie żagle
nauczycielka czytała dzieciom wiersz o żabie
młynarz ważył worki z pszenną mąką
ogrodnik przesadził żółte tulipany
babcia szukała okularów pod poduszką
rybacy wyciągnęli sieć pełną śledzi
pociąg do Gdańska odjechał bez opóźnienia
pies stróża szczekał na przejeżdżające wozy
leśniczy znalazł ślady rysia nad strumieniem
kucharka dosypała do zupy szczyptę soli
ciotka Jadwiga przyjechała z wielką walizką
studenci grali w szachy na podwórzu
szewc podkleił podeszwy czarnych trzewików
burmistrz otworzył nową czytelnię
mój brat pożyczył rower od kolegi
stolarz wygładził dębowy blat stołu
wędrowiec zapytał o drogę do zamku
aptekarz ostrożnie odmierzał krople
chłopcy zbudowali tamę z kamieni i gałęzi
malarka rozstawiła sztalugi przy oknie
pszczelarz zebrał dziesięć słoików miodu
furman napoił konie przy studni
siostrzeniec wysłał kartkę znad jeziora
gospodyni rozwiesiła pranie na strychu
muzykanci stroili skrzypce w sieni
doktor zapisał gorzkie lekarstwo na kaszel
bibliotekarz odłożył zakurzony atlas
kot wskoczył na parapet i strącił doniczkę
strażak zdjął z dachu zerwaną rynnę
córka piekarza sprzedawała ciepłe bułki
żeglarz wpatrywał się w światło latarni
dozorca zamiatał liście przed bramą
goście śpiewali przy kominku stare pieśni
krawcowa przyszyła guziki do płaszcza
"""

_ENDINGS = """
i nikt nie wiedział dlaczego
choć pora była już późna
bo zapowiadano deszcz
zanim zapadł zmrok
a potem zrobiło się cicho
jak co roku o tej porze
mimo że wiał mroźny wiatr
i wszyscy się uśmiechnęli
aż zegar wybił dwunastą
chociaż nikt o to nie prosił
a w oddali grzmiało
tak jak było umówione
i znowu zaczęło padać
bo czasu zostało niewiele
podczas gdy inni jeszcze spali
a cały dom pachniał jabłkami
i trwało to prawie godzinę
ledwie wzeszło słońce
co wydało się bardzo dziwne
nie zważając na hałas
zupełnie jak w dzieciństwie
i tak skończył się ten dzień
a za oknem kwitły bzy
po czym wszystko wróciło do zwyczaju
nie mówiąc o tym nikomu
"""


def _fragments(text, split):
    lines = text.strip().splitlines()
    return [line for i, line in enumerate(lines) if i % 5 in _REMAINDERS[split]]


def draw_sentence(rng, split):
    """Draw one sentence of a split.

    Arguments
    ---------
    rng : np.random.Generator
        Where the draw comes from.
    split : str
        train, valid or test.

    Returns
    -------
    str
        The sentence, with its full stop.

    Example
    -------
    >>> import numpy as np
    >>> draw_sentence(np.random.default_rng(14), "test")
    'Pewnego razu strażak zdjął z dachu zerwaną rynnę, nie zważając na hałas.'
    """
    parts = (_OPENINGS, _CLAUSES, _ENDINGS)
    opening, clause, ending = (rng.choice(_fragments(part, split)) for part in parts)
    return f"{opening} {clause}, {ending}."
