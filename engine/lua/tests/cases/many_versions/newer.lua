local M = {}
function M.make() local n = 0 return function(c, d) n = n + 1 return "v3", n end end
return M
