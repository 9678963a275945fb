"""What hides a word is undone; what people write in their own languages stays."""

import time

import numpy as np
import pytest

from winnow.media import letters
from winnow.media.normalise import normalise, normalise_all

DISGUISES = {
    "cyrillic": "wіnnоw", "greek": "wιnnοω", "mixed capitals": "WІNNОW", "full-width": "ｗｉｎｎｏｗ",
    "mathematical": "𝐰𝐢𝐧𝐧𝐨𝐰", "script": "𝓌𝒾𝓃𝓃𝑜𝓌", "circled": "ⓦⓘⓝⓝⓞⓦ", "small capitals": "ᴡɪɴɴᴏᴡ", "armenian": "wiոոow",
    "zero-width": "w\u200bi\u200cn\u200dn\u2060o\ufeffw", "soft hyphens": "win\u00adnow", "tags": "win\U000e0041now",
    "override": "\u202ewonniw\u202c", "isolates": "\u2066winnow\u2069", "digits": "w1nn0w", "signs": "w!nn0w",
    "spaced": "w i n n o w", "dotted": "w.i.n.n.o.w", "dashed": "w-i-n-n-o-w", "starred": "w*i*n*n*o*w",
    "underscored": "w_i_n_n_o_w", "wide": "w  i  n  n  o  w", "repeated": "wiiiinnnnnow", "shouted": "WiNnOw",
    "zalgo": "".join(c + "\u0335\u0301\u0321" for c in "winnow"), "struck": "".join(c + "\u0336" for c in "winnow"),
    "two at once": "w\u200b \u0456\u200b n n 0 w", "spaced cyrillic": "w і n n о w",
}  # fmt: skip

LANGUAGES = {
    "English": "All human beings are born free and equal",
    "French": "Tous les êtres humains naissent libres et égaux",
    "German": "Alle Menschen sind frei und gleich an Würde",
    "Spanish": "Todos los seres humanos nacen libres, señor",
    "Portuguese": "Todos os seres humanos têm direito à educação",
    "Italian": "Tutti gli esseri umani perché città",
    "Dutch": "Alle mensen worden vrij en gelijk geboren, zoals coördinatie",
    "Swedish": "Alla människor är födda fria",
    "Danish": "Alle mennesker er født frie på øen",
    "Norwegian": "Alle mennesker er født frie og går",
    "Finnish": "Kaikki ihmiset syntyvät vapaina, hyvää päivää",
    "Icelandic": "Hver maður er borinn frjáls, það",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi, źdźbło",
    "Czech": "Všichni lidé se rodí svobodní, příliš žluťoučký",
    "Hungarian": "Minden emberi lény szabadon születik, őrült tűz",
    "Romanian": "Toate ființele umane se nasc libere",
    "Turkish": "bütün insanlar hür, haysiyet ve haklar bakımından eşit",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do",
    "Russian": "Все люди рождаются свободными",
    "Ukrainian": "Всі люди народжуються вільними, її ґанок",
    "Bulgarian": "Всички хора се раждат свободни",
    "Serbian": "Сва људска бића рађају се слободна",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι",
    "Hebrew": "כל בני האדם נולדו בני חורין",
    "Arabic": "يولد جميع الناس أحرارا متساوين",
    "Arabic with vowels": "يُولَدُ جَمِيعُ النَّاسِ",
    "Persian": "تمام افراد بشر آزاد می‌آیند",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में",
    "Bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান",
    "Tamil": "மனிதப் பிறவியினர் சகலரும்",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระ",
    "Chinese": "人人生而自由，在尊严和权利上一律平等",
    "Japanese": "すべての人間は、生まれながらにして自由でカラオケ",
    "Korean": "모든 인간은 태어날 때부터 자유로우며",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი",
    "Armenian": "Բոլոր մարդիկ ծնվում են ազատ",
    "Amharic": "የሰው ልጅ ሁሉ ሲወለድ ነጻ",
    "Khmer": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព",
    "Yoruba": "Gbogbo ènìyàn ni a bí ní òmìnira",
}

PLAIN = (
    "the 2nd of 4 at 10am", "covid19, mp3, h2o and b2b", "a@example.com", "see https://example.com/a1b2/c3d4",
    "@somebody and @s0me0ne", "$100 or 5€", "1 2 3 4 5", "12-34-56", "wow! that is it.", "e.g. this, i.e. that",
    "iii and xxx and www", "co-op, well-known", "3.5kg", "c'est l'été", "#tag", "😀😀😀", "👨‍👩‍👧 ❤️‍🔥 🇫🇷 👍🏽", "🏳️‍🌈",
)  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_word_is_read(disguise):
    assert normalise(f"so {DISGUISES[disguise]} it").text == "so winnow it"


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_word_is_found_where_it_was_written(disguise):
    text = f"so {DISGUISES[disguise]} it"
    normal = normalise(text)
    start, end = normal.span(3, 9)
    assert text[start:end].strip("\u2066\u2069\u202e\u202c") == DISGUISES[disguise].strip("\u2066\u2069\u202e\u202c")
    assert text[slice(*normal.span(10, 12))] == "it"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_of_people_stay(language):
    text = LANGUAGES[language]
    small = "".join(c.lower() for c in text)
    assert normalise(text).text == small
    assert normalise_all([text, "b a d", text])[2].text == small
    assert normalise(f"{text}\u2060").text == small  # on the long way round too


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_looks_like_a_disguise_stays(text):
    assert normalise(text).text == text
    assert normalise(f"{text}\u2060").text == text


def test_a_word_that_is_spelt_ends_where_its_sentence_ends():
    assert normalise("so w-1-n-n-o-w!").text == "so winnow!"
    assert normalise("so w.i.n.n.o.w.").text == "so winnow."
    assert normalise("so w ! n n o w, it").text == "so winnow, it"


def test_a_cyrillic_word_with_latin_letters_becomes_cyrillic():
    assert normalise("хoрoшо").text == "хорошо"


def test_a_word_made_of_lookalikes_alone_depends_on_the_text_around_it():
    assert normalise("we соре well").text == "we cope well"
    assert normalise("он сказал: соре, Anna").text == "он сказал: соре, anna"


def test_nothing_and_nothing_seen():
    assert normalise("").text == ""
    assert normalise("").span(0, 0) == (0, 0)
    assert normalise("\u200b\u200b").text == ""
    assert normalise_all([]) == []


def test_a_letter_that_becomes_two_maps_to_its_one_place():
    normal = normalise("oﬃce")
    assert normal.text == "office"
    assert [normal.span(i, i + 1) for i in range(6)] == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3), (3, 4)]


def test_lone_surrogates_and_every_plane_pass():
    text = "a\ud800b\U0010ffff\U00020000c"
    assert normalise(text).text == text


@pytest.mark.parametrize(
    "part", ["the quick brown fox ", "b4d sh1p ", "b a d day ", "b\u0336\u0301a", "раypal ", "\u202edab\u202c ok "]
)
def test_time_grows_with_the_length_alone(part):
    def took(size: int) -> float:
        text = part * (size // len(part))
        spent = []
        for _ in range(3):
            start = time.process_time()
            normalise(text)
            spent.append(time.process_time() - start)
        return min(spent)

    normalise("\u2060")
    long = took(400_000)
    assert long < 12 * max(took(100_000), 0.002)
    assert long < 1.0


def test_a_text_gives_the_same_whatever_stands_beside_it():
    texts = [*DISGUISES.values(), *LANGUAGES.values(), "\u202eabc", "d e", "f", "", "соре"]
    for text, beside in zip(texts, normalise_all(texts), strict=True):
        alone = normalise(text)
        assert alone.text == beside.text
        assert np.array_equal(alone.origin, beside.origin)


def test_lookalikes_are_pairs_of_a_foreign_letter_and_a_latin_one():
    table = letters.tables()
    at = np.flatnonzero(table.like)
    assert len(at) > 200
    assert all(chr(code).isalpha() and not chr(code).isascii() for code in at)
    assert all(chr(code).isascii() and chr(code).isalpha() for code in table.like[at])
    assert set(table.kind[at]) <= {letters.CYRILLIC, letters.GREEK, letters.LIKE}
