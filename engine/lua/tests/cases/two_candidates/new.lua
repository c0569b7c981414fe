local M = {}
do local n = 1 M.first = function() n = n + 1 return n end end
do local n = 10 M.second = function(x) n = n + 1 return n end end
do local n = 100 function M.named() n = n + 1 return n end end
return M
