local hits, lives = 0, 3
local M = {}
function M.hit() hits = hits + 1 return hits end
function M.lives(n) lives = n or lives return lives end
return M
