"""The words that titles, people and channels are made of: a reader can tell what a video is about."""

TOPICS: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "baking": (("Kitchen", "Bakehouse"), (
        "sourdough", "cinnamon buns", "puff pastry", "rye bread", "lemon tart", "croissants", "focaccia", "shortbread",
        "birthday cakes", "pizza dough")),
    "gardening": (("Allotment", "Garden"), (
        "growing tomatoes", "raised beds", "pruning roses", "composting", "winter vegetables", "balcony herbs",
        "saving seeds", "apple trees", "wildflower meadows", "a no-dig plot")),
    "chess": (("Chess Room", "Gambit"), (
        "the Sicilian Defence", "rook endgames", "blitz openings", "the Queen's Gambit", "mating patterns",
        "chess puzzles", "a famous sacrifice", "pawn structure", "the London System", "the knight fork")),
    "cycling": (("Bike Shed", "Peloton"), (
        "hill climbs", "a gravel weekend", "fixing a flat tyre", "touring bikes", "commuting by bike", "wheel building",
        "disc brakes", "riding in winter", "the Alpine passes", "cargo bikes")),
    "football": (("Touchline", "Terrace"), (
        "the offside trap", "pressing from the front", "penalty shoot-outs", "the false nine", "free kicks",
        "five-a-side tactics", "goalkeeping drills", "the 1970 final", "set pieces", "Sunday league")),
    "jazz": (("Blue Note", "Quartet"), (
        "bebop phrasing", "the double bass", "modal jazz", "brushes on the snare", "playing the changes",
        "Sunday standards", "the walking bass line", "ballad voicings", "trumpet tone", "swing time")),
    "astronomy": (("Observatory", "Night Sky"), (
        "the rings of Saturn", "black holes", "a backyard telescope", "meteor showers", "the Andromeda galaxy",
        "lunar craters", "dark matter", "photographing nebulae", "the next eclipse", "exoplanets")),
    "woodwork": (("Workshop", "Workbench"), (
        "dovetail joints", "hand planes", "a walnut table", "sharpening chisels", "wood finishes", "bending oak",
        "a garden bench", "turning bowls", "a dust-free workshop", "Japanese saws")),
    "travel": (("Rucksack", "Postcards"), (
        "night trains", "Lisbon on foot", "the Norwegian fjords", "packing light", "street food in Hanoi",
        "a week in Georgia", "slow travel", "island ferries", "border crossings", "Kyoto in the rain")),
    "history": (("Archive", "Chronicle"), (
        "Roman roads", "the printing press", "the Hanseatic League", "medieval kitchens", "the Silk Road",
        "lost cities", "the first railways", "Viking ships", "the Black Death", "castles under siege")),
    "coding": (("Terminal", "Commit Log"), (
        "Python generators", "debugging", "a tiny compiler", "SQL joins", "writing tests", "shell scripts",
        "hash tables", "code review", "type systems", "a chess engine in Rust")),
    "photography": (("Darkroom", "Shutter"), (
        "portrait light", "street photography", "film cameras", "long exposures", "landscape composition",
        "editing raw files", "one prime lens", "golden hour", "black and white prints", "macro shots")),
    "cats": (("Whiskers", "Windowsill"), (
        "a kitten's first week", "cats against cucumbers", "the neighbour's cat", "teaching a cat tricks",
        "indoor cats", "rescue cats", "a cat and a robot vacuum", "sleeping cats",
        "cat body language", "zoomies at 3 a.m.")),
    "dogs": (("Good Boys", "Kennel"), (
        "puppy training", "sheepdogs at work", "a dog's first snow", "loose-lead walking", "rescue dogs",
        "agility trials", "old dogs", "dogs meeting babies", "the recall whistle", "greyhounds")),
    "comedy": (("Sketchbook", "Open Mic"), (
        "office meetings", "flatmates", "awkward first dates", "parents and phones", "the worst waiter",
        "job interviews",
        "self-checkout tills", "group chats", "the queue", "holiday photos")),
    "fitness": (("Training Log", "Gym"), (
        "kettlebells", "a first pull-up", "morning mobility", "running a 10K", "core strength", "home workouts",
        "rowing technique", "stretching", "the deadlift", "rest days")),
    "gaming": (("Save Point", "Arcade"), (
        "speedruns", "a cosy farm sim", "boss fights", "retro consoles", "indie platformers", "city builders",
        "the hardest level", "pixel art games", "co-op nights", "roguelikes")),
    "cars": (("Garage", "Paddock"), (
        "restoring a Mini", "electric cars", "engine rebuilds", "rally stages", "rust repair", "a rusty barn find",
        "oil changes", "track days", "gearboxes", "the perfect road trip")),
    "painting": (("Studio", "Easel"), (
        "watercolour skies", "oil portraits", "colour mixing", "still life", "sketching faces", "gouache landscapes",
        "urban sketching", "brush care", "painting water", "linocut prints")),
    "hiking": (("Trailhead", "Boots"), (
        "the Pennine Way", "wild camping", "ridge walks", "choosing boots", "reading maps", "a winter summit",
        "hut to hut", "the coast path", "lightweight tents", "walking alone")),
    "science": (("Laboratory", "Field Notes"), (
        "quantum tunnelling", "how vaccines work", "octopus minds", "plate tectonics", "the periodic table",
        "slime moulds",
        "superconductors", "the chemistry of soap", "gene editing", "deep-sea vents")),
    "film": (("Screening Room", "Clapperboard"), (
        "the long take", "silent comedies", "film noir", "practical effects", "Hitchcock's suspense", "sound design",
        "stop motion", "the final scene", "opening shots", "samurai films")),
    "sewing": (("Needle & Thread", "Pattern Room"), (
        "mending jeans", "a linen shirt", "quilting", "sewing zips", "a first dress", "visible mending",
        "choosing fabric", "hand embroidery", "tailoring a jacket", "scrap quilts")),
    "finance": (("Ledger", "Piggy Bank"), (
        "index funds", "household budgets", "first-time mortgages", "pension basics", "inflation", "paying off debt",
        "emergency savings", "compound interest", "small business taxes", "frugal cooking")),
}  # fmt: skip
FORMS = (
    "{} for beginners", "{}, explained in five minutes", "What I got wrong about {}", "{} from start to finish",
    "Seven mistakes with {}", "A year of {}", "{} on a small budget", "The quiet art of {}",
    "Asking an expert about {}", "{}: the whole story", "My first week with {}", "{}, put to the test",
    "Why everyone is talking about {}", "{} without the fuss", "A beginner and a master: {}",
)  # fmt: skip
BAIT = (
    "You won't believe {}",
    "{} gone wrong",
    "{}?! I had no idea",
    "The truth about {}",
    "Nobody tells you this: {}",
)
_FIRST = (
    "Ada Amara Anouk Arjun Astrid Bela Bruno Carmen Cleo Dara Dimitri Edith Elif Emeka Esme Farid Felix Freya Gita "
    "Hana Hugo Ida Imani Ines Ivo Jamal Jonas Juno Kaito Kamila Keira Lars Leila Linh Lucia Malik Mara Mateo Mei Mira "
    "Nadia Nia Niko Noor Olga Omar Otto Pablo Petra Priya Quinn Rafael Rosa Ruth Sami Selma Soren Tara Theo Tova Uma "
    "Vera Viktor Wanda Yara Yusuf Zane Zofia"
)
_LAST = (
    "Abara Achterberg Adeyemi Almeida Andersen Aoki Bakker Barros Bergman Boateng Castellan Chaudhry Cohen Cruz Dahl "
    "Diallo Dvorak Egede Eriksen Farouk Ferrante Fischer Galanis Gupta Haddad Hughes Ibarra Ishikawa Jansen Kaplan "
    "Keller Khan Kowalski Laurent Lindqvist Lopez Marchetti Mbeki Moreau Murphy Nakamura Novak Oduya Okafor Olsen Park "
    "Petrov Quist Rahman Rossi Saito Schwarz Silva Sorensen Tanaka Thorne Ueda Vargas Virtanen Weiss Wright Yilmaz Zhou"
)
FIRST_NAMES, LAST_NAMES = _FIRST.split(), _LAST.split()
