namespace gonka {
int poc_anchor;
}
