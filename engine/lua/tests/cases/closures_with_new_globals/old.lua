local M = {}
function M.make() local n = 1 return function() return n end end
return M
