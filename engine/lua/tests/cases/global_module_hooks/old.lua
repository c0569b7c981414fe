function __on_unload__() return "from the old" end
__reload = { rename = { lives = "hearts" } }
local hearts = 3
function hurt() hearts = hearts - 1 return hearts end
