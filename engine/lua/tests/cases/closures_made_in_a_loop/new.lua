local M = { list = {}, named = {} }
for i = 1, 6 do
    local c = i * 10
    M.list[i] = function() c = c + 1 return "new", c end
    M.named["n" .. i] = function() return "new", c end
end
return M
