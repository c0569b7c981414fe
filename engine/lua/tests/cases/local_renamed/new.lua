local strikes, lifes = 0, 3
local M = { __reload = { rename = { lifes = "lives" } } }
function M.hit() strikes = strikes + 1 return strikes end
function M.lives(n) lifes = n or lifes return lifes end
return M
