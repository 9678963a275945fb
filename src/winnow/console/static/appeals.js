// The page of appeals: whose post it was sees why and appeals; somebody else looks again and decides. All by keyboard.

import * as author from "./appeals-author.js";
import * as judge from "./appeals-judge.js";
import { at } from "./desk.js";

const asked = new URLSearchParams(location.search).get("decision");
const [section, link, page] = asked === null ? ["judge", "to-decide", judge] : ["author", "to-appeal", author];
at(section).hidden = false;
at(link).setAttribute("aria-current", "page");
page.begin(asked);
