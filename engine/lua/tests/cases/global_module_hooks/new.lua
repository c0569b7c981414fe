function __on_load__(bytes) got = bytes end
__reload = { rename = { lives = "hearts" } }
local lives = 3
function hurt() lives = lives - 1 return lives end
