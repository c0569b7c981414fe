return {
    f = function( return "new" end
}
