local shared = { hp = 2, mp = 5 }
local M = { a = shared, b = shared }
M.self = M
M.alias = M.map
M.ring = { name = "first", extra = 1 }
M.ring.next = { name = "second", next = M.ring, extra = 2 }
M.list = { 9, 9 }
M.map = { x = 1, z = 2, sub = { y = 1, w = 3 } }
M.alias = M.map
M.wrapped = { inside = { M.map } }
return M
