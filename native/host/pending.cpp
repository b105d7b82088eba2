namespace gonka {
int host_anchor;
}
